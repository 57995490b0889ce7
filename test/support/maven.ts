// Jars from Maven: fetched once per machine, outside the checkout.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export const HOW_MAVEN = "Debian: apt-get install openjdk-17-jdk-headless maven";

const run = promisify(execFile);

export type Dependency = readonly [group: string, artifact: string, version: string];

/** Where what tests fetch or build is kept: `name` has the versions of all that is in it. */
export function cacheDirectory(name: string): string {
  const caches = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(caches, "tidings", name);
}

/** The major version of a `java`; undefined if there is none. */
export async function javaVersion(java = "java"): Promise<number | undefined> {
  return await run(java, ["-version"]).then(
    ({ stderr }) => Number(/version "(?:1\.)?(\d+)/.exec(stderr)?.[1]),
    () => undefined,
  );
}

/** Why the jars of this name cannot be had here; undefined if they can. */
export async function jarsMissing(name: string): Promise<string | undefined> {
  if (existsSync(cacheDirectory(name))) return undefined;
  const maven = await run("mvn", ["--version"]).then(() => true, () => false);
  return maven ? undefined : `there is no mvn on the PATH to fetch ${name} with (${HOW_MAVEN})`;
}

/** The class path of these artifacts and what they need. Fetches the jars at first; several processes may do so at once. */
export async function classPathOf(name: string, dependencies: readonly Dependency[]): Promise<string> {
  const jars = cacheDirectory(name);
  if (!existsSync(jars)) await fetchJars(name, jars, dependencies);
  return join(jars, "*");
}

async function fetchJars(name: string, jars: string, dependencies: readonly Dependency[]): Promise<void> {
  await mkdir(join(jars, ".."), { recursive: true });
  const work = await mkdtemp(`${jars}-`);
  try {
    await writeFile(join(work, "pom.xml"), pom(dependencies));
    await run("mvn", ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"], {
      cwd: work,
      maxBuffer: 64 * 1024 * 1024,
    });
    // The rename is all or nothing: the second process finds the jars of the first and drops its own.
    await rename(join(work, "jars"), jars).catch((error: unknown) => {
      if (!existsSync(jars)) throw error;
    });
  } catch (error) {
    throw new Error(`Cannot fetch ${name} with Maven: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function pom(dependencies: readonly Dependency[]): string {
  return [
    "<project><modelVersion>4.0.0</modelVersion>",
    "<groupId>tidings</groupId><artifactId>jars-for-tests</artifactId><version>1</version><dependencies>",
    ...dependencies.map(([group, artifact, version]) =>
      `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
    ),
    "</dependencies></project>",
  ].join("");
}
