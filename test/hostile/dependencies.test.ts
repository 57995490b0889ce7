// The lock file names every package by its hash, and only named packages may run scripts.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

interface Entry {
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly resolved?: string;
  readonly link?: boolean;
}
interface Manifest {
  readonly allowScripts?: Readonly<Record<string, boolean>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
type Packages = Readonly<Record<string, Entry>>;

const read = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(new URL(`../../${name}`, import.meta.url), "utf8"));

/** One sentence for each entry of a lock file that breaks a rule. */
function violations(packages: Packages, manifest: Manifest): string[] {
  const allowed = manifest.allowScripts ?? {};
  const locked = Object.entries(packages).filter(([path]) => path !== "").flatMap(([path, entry]) => {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    return [
      ...(/^sha512-[A-Za-z0-9+/]{86}==$/.test(entry.integrity ?? "") ? [] : [`${path} has no integrity`]),
      ...(entry.hasInstallScript === true && !Object.hasOwn(allowed, name) ? [`${path} has an install script`] : []),
      ...(entry.link === true ? [`${path} is a link`] : []),
      ...(entry.resolved === undefined ? [] : [`${path} comes from a place of its own`]),
    ];
  });
  const asked = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([, range]) => !/^[\^~]?\d+\.\d+\.\d+$/.test(range)).map(([name, range]) =>
      `${name} is asked for as ${range}`
    );
  return [...locked, ...asked];
}

describe("what is installed", () => {
  it("has a hash each, and no script about which allowScripts says nothing", async () => {
    const { packages } = await read("package-lock.json") as { packages: Packages };
    assert.ok(Object.keys(packages).length > 50, "the lock file was read");
    assert.deepEqual(violations(packages, await read("package.json") as Manifest), []);
  });

  it("may run the scripts of runtimes only", async () => {
    const { allowScripts } = await read("package.json") as Manifest;
    const allowed = Object.entries(allowScripts ?? {}).filter(([, may]) => may).map(([name]) => name);
    assert.deepEqual(allowed.toSorted(), ["bun", "deno", "node"]);
  });

  it("would be refused otherwise", () => {
    const integrity = `sha512-${"A".repeat(86)}==`;
    const lock = (entry: Entry) =>
      violations({ "": {}, "node_modules/a/node_modules/b": entry }, { allowScripts: { a: true } });
    assert.deepEqual(lock({ integrity }), []);
    assert.equal(lock({}).length, 1);
    assert.equal(lock({ integrity: "sha1-AAAA" }).length, 1);
    assert.equal(lock({ integrity, hasInstallScript: true }).length, 1);
    assert.equal(lock({ integrity, link: true }).length, 1);
    assert.equal(lock({ integrity, resolved: "git+ssh://git.example/b.git" }).length, 1);
    assert.equal(violations({}, { dependencies: { a: "github:b/c" } }).length, 1);
  });
});
