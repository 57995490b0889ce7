// Jars from Maven: fetched once per machine, outside the checkout.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cached, cachePath } from "../caches.ts";

export const HOW_MAVEN = "Debian: apt-get install openjdk-17-jdk-headless maven";

const run = promisify(execFile);

export type Dependency = readonly [group: string, artifact: string, version: string];

/** The major version of a `java`; undefined if there is none. */
export async function javaVersion(java = "java"): Promise<number | undefined> {
  return await run(java, ["-version"]).then(
    ({ stderr }) => Number(/version "(?:1\.)?(\d+)/.exec(stderr)?.[1]),
    () => undefined,
  );
}

/** Why the jars of this name cannot be had here; undefined if they can. */
export async function jarsMissing(name: string): Promise<string | undefined> {
  if (existsSync(cachePath(name))) return undefined;
  const maven = await run("mvn", ["--version"]).then(() => true, () => false);
  return maven ? undefined : `there is no mvn on the PATH to fetch ${name} with (${HOW_MAVEN})`;
}

/** The class path of these artifacts and what they need. Fetches the jars at first; several processes may do so at once. */
export async function classPathOf(name: string, dependencies: readonly Dependency[]): Promise<string> {
  const jars = await cached(name, async (work) => {
    await writeFile(join(work, "pom.xml"), pom(dependencies));
    await run("mvn", ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"], {
      cwd: work,
      maxBuffer: 64 * 1024 * 1024,
    });
    return join(work, "jars");
  });
  return join(jars, "*");
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
