// MOSIP's own Java client, unmodified from Maven Central, behind a small driver of ours (Driver.java).
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cached } from "../../support/caches.ts";
import { classPathOf, HOW_MAVEN, jarsMissing, javaVersion } from "../../support/java/maven.ts";

export const VERSIONS = ["1.2.0.1", "1.2.0.2", "1.3.0"] as const;
export type Version = typeof VERSIONS[number];

/** The class files of 1.3.0 are those of Java 21. */
const OLDEST_JAVA: Readonly<Record<Version, number>> = { "1.2.0.1": 11, "1.2.0.2": 11, "1.3.0": 21 };
const SOURCE = fileURLToPath(new URL("Driver.java", import.meta.url));
const STARTS_WITHIN_MS = 60_000;
const ANSWERS_WITHIN_MS = 20_000;
const run = promisify(execFile);

export interface FailedContent {
  readonly failedcontents: readonly { readonly message: string; readonly timestamp: string }[];
}

export interface MosipClient extends AsyncDisposable {
  readonly callback: string;
  /** Obeys a command of Driver.java; its answer. @throws {Error} with the client's own message */
  readonly command: <T = unknown>(...words: readonly string[]) => Promise<T>;
}

/** Why this version cannot run here; undefined if it can. */
export async function clientMissing(version: Version): Promise<string | undefined> {
  if (await jdkOf(version) === undefined) {
    return `there is no JDK ${OLDEST_JAVA[version]} or newer for MOSIP's client ${version} (${HOW_MAVEN})`;
  }
  return await jarsMissing(nameOf(version));
}

const nameOf = (version: Version) => `mosip-websubclient-${version}`;

/** The directory with `java` and `javac`, "" for the PATH's; undefined if there is none that is new enough. */
async function jdkOf(version: Version): Promise<string | undefined> {
  const machines = "/usr/lib/jvm";
  const installed = await readdir(machines).catch(() => []);
  const home = process.env["JAVA_HOME"];
  const homes = [
    "",
    ...home === undefined ? [] : [join(home, "bin")],
    ...installed.map((name) => join(machines, name, "bin")),
  ];
  for (const bin of homes) {
    if (bin !== "" && !existsSync(join(bin, "javac"))) continue;
    const compiles = await run(join(bin, "javac"), ["-version"]).then(() => true, () => false);
    if (compiles && (await javaVersion(join(bin, "java")) ?? 0) >= OLDEST_JAVA[version]) return bin;
  }
  return undefined;
}

/** The driver for a version of the client, compiled once for each change of its source. */
async function compiled(version: Version, bin: string, jars: string): Promise<string> {
  const source = createHash("sha256").update(await readFile(SOURCE)).digest("hex").slice(0, 12);
  return await cached(`${nameOf(version)}-driver-${source}`, async (work) => {
    const classes = join(work, "classes");
    await mkdir(classes);
    // Spring of 1.2 reads no newer class files.
    const release = OLDEST_JAVA[version] < 17 ? ["--release", "8"] : [];
    await run(join(bin, "javac"), [...release, "-nowarn", "-proc:none", "-cp", jars, "-d", classes, SOURCE]);
    return classes;
  });
}

/** Starts a subscriber and publisher of this version, for one topic. */
export async function openMosipClient(
  version: Version,
  { hub, failed, topic, secret }: { hub: string; failed: string; topic: string; secret: string },
): Promise<MosipClient> {
  const bin = await jdkOf(version) ?? "";
  const jars = await classPathOf(nameOf(version), [["io.mosip.kernel", "kernel-websubclient-api", version]]);
  const classes = await compiled(version, bin, jars);
  const settings = {
    "server.port": "0",
    "server.address": "127.0.0.1",
    "spring.main.banner-mode": "off",
    // MOSIP's services set the same: the client's configuration asks for itself.
    "spring.main.allow-circular-references": "true",
    "spring.cloud.config.enabled": "false",
    "logging.level.root": "ERROR",
    // The client reads a body that it checks in the machine's encoding.
    "file.encoding": "UTF-8",
  };
  const java = spawn(join(bin, "java"), [
    "--add-opens",
    "java.base/java.lang=ALL-UNNAMED",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    ...Object.entries(settings).map(([name, value]) => `-D${name}=${value}`),
    "-cp",
    `${classes}:${jars}`,
    "Driver",
    hub,
    failed,
    topic,
    secret,
  ], { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  const note = (part: string) => output = (output + part).slice(-4_000);
  const ended = new Promise<void>((resolve) => java.once("close", () => resolve()).once("error", () => resolve()));
  java.stdin.on("error", () => {});
  java.stderr.setEncoding("utf8").on("data", note);
  const lines = createInterface({ input: java.stdout })[Symbol.asyncIterator]();

  async function next(what: string, withinMs: number): Promise<unknown> {
    const late = setTimeout(() => java.kill("SIGKILL"), withinMs);
    try {
      for (;;) {
        const { value: line, done } = await lines.next();
        if (done === true) throw new Error(`MOSIP's client ${version} ended or hung at "${what}": ${output}`);
        if (line.startsWith("> ")) return JSON.parse(line.slice(2));
        note(`${line}\n`);
      }
    } finally {
      clearTimeout(late);
    }
  }

  const callback = await next("start", STARTS_WITHIN_MS) as string;
  return {
    callback,
    async command<T>(...words: readonly string[]) {
      java.stdin.write(`${words.join("\t")}\n`);
      const answer = await next(words[0] ?? "", ANSWERS_WITHIN_MS);
      if (typeof answer === "object" && answer !== null && "error" in answer) throw new Error(String(answer.error));
      return answer as T;
    },
    async [Symbol.asyncDispose]() {
      java.kill("SIGKILL");
      await ended;
    },
  };
}
