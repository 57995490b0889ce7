// Keycloak from its Maven artifact: fetched and augmented once per machine, outside the checkout.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cached, cachePath } from "../caches.ts";

export const KEYCLOAK_VERSION = "26.7.3";
const NAME = `keycloak-${KEYCLOAK_VERSION}`;
const HOW = "Debian: apt-get install openjdk-17-jre-headless maven";

const run = promisify(execFile);

/** What is missing to start Keycloak here, and how to get it; undefined if nothing is. */
export async function keycloakMissing(): Promise<string | undefined> {
  const java = await run("java", ["-version"]).then(
    ({ stderr }) => Number(/version "(\d+)/.exec(stderr)?.[1]),
    () => 0,
  );
  if (java < 17) return `there is no java 17 or newer on the PATH (${HOW})`;
  if (existsSync(cachePath(NAME))) return undefined;
  const maven = await run("mvn", ["--version"]).then(() => true, () => false);
  return maven ? undefined : `there is no mvn on the PATH to fetch Keycloak with (${HOW})`;
}

/** Its directory, which several processes may use at once and none may write to. */
export function keycloakDirectory(): Promise<string> {
  return cached(NAME, async (work) => {
    const artifact = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK_VERSION}:tar.gz`;
    await mkdir(join(work, "fetched"));
    await run("mvn", ["-q", "-B", "dependency:get", `-Dartifact=${artifact}`, "-Dtransitive=false"], { cwd: work });
    await run(
      "mvn",
      [
        "-q",
        "-B",
        "dependency:copy",
        `-Dartifact=${artifact}`,
        "-DoutputDirectory=fetched",
        "-Dmdep.useBaseVersion=true",
      ],
      { cwd: work },
    );
    await run("tar", ["-xzf", join(work, "fetched", `keycloak-quarkus-dist-${KEYCLOAK_VERSION}.tar.gz`)], {
      cwd: work,
    });
    const home = join(work, NAME);
    // A start with other build options would augment it again, which takes half a minute.
    await run(join(home, "bin/kc.sh"), ["build", "--db=dev-file"], { cwd: home });
    return home;
  });
}
