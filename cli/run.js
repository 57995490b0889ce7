// Runs a program of ours by its name, as in `node cli/run.js core`. It says in one sentence that the runtime is too old, that a package
// is not installed, or that Deno lacks a permission. An old runtime must be able to read it, so it is JavaScript without a package.
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Deno takes only paths that are written out for part of the program; any other file needs a permission. */
const PROGRAMS = {
  core: () => import("../core/main.ts"),
  edge: () => import("../edge/main.ts"),
  keys: () => import("../shared/runtime/prepare-keys.ts"),
  tidings: () => import("./tidings.ts"),
};

/** The oldest versions that run the hub; `engines` in package.json says the same. */
const OLDEST = { node: [22, 18], deno: [2, 8], bun: [1, 4] };

const name = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
const shownName = name[0].toUpperCase() + name.slice(1);
const [first = "", ...rest] = process.argv.slice(2);

if (isOld()) {
  end(`${shownName} ${process.versions[name]} is too old: ${OLDEST[name].join(".")} or newer is needed`);
} else if (first === "--where") {
  // Deno permits to run a program by its path, so a script has to know it.
  console.log(process.execPath);
} else if (Object.hasOwn(PROGRAMS, first)) {
  // The program finds its arguments where they would be if it had been run itself.
  process.argv.splice(2, process.argv.length, ...rest);
  PROGRAMS[first]().catch((error) => {
    const sentence = sentenceOf(error);
    if (sentence === undefined) throw error;
    end(sentence);
  });
} else if (first !== "") {
  end(`${JSON.stringify(first)} cannot be run; what can be run: ${Object.keys(PROGRAMS).join(", ")}`);
}

function isOld() {
  const [major, minor] = process.versions[name].split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST[name];
  if (major !== oldestMajor) return major < oldestMajor;
  return minor < oldestMinor;
}

/** What a person can do something about; undefined for any other error. */
function sentenceOf(error) {
  const text = String(error && error.message).split("\n")[0];
  if (error && error.name === "NotCapable") return `Deno was not given a permission: ${text}`;
  if (!/^(?:ERR_)?MODULE_NOT_FOUND$/.test(error && error.code)) return undefined;
  return `A package is not installed, ${remedy()}: ${text}`;
}

/** In a project that has this package, npm ci is the project's own; compiled files of a checkout are in dist/package. */
function remedy() {
  if (import.meta.url.includes("/node_modules/")) return "install tidings again";
  const root = new URL(import.meta.url.includes("/dist/package/") ? "../../../" : "..", import.meta.url);
  return `run npm ci${name === "node" ? "" : `, or ${name} install,`} in ${fileURLToPath(root)}`;
}

function end(sentence) {
  console.error(`tidings: ${sentence}`);
  process.exit(1);
}
