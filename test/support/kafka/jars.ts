// Apache Kafka from its Maven artifacts: fetched once per machine, outside the checkout.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export const KAFKA_VERSION = "4.1.0";
const LOG4J_VERSION = "2.24.3";
const HOW = "Debian: apt-get install openjdk-17-jre-headless maven";

const run = promisify(execFile);

/** What is missing to start a broker here, and how to get it; undefined if nothing is. */
export async function kafkaMissing(): Promise<string | undefined> {
  const java = await run("java", ["-version"]).then(
    ({ stderr }) => /version "(\d+)/.exec(stderr)?.[1],
    () => undefined,
  );
  if (java === undefined) return `there is no java on the PATH (${HOW})`;
  if (Number(java) < 17) return `java is version ${java}, Kafka needs 17 or newer (${HOW})`;
  if (existsSync(jarsDirectory())) return undefined;
  const maven = await run("mvn", ["--version"]).then(() => true, () => false);
  return maven ? undefined : `there is no mvn on the PATH to fetch Kafka with (${HOW})`;
}

/** The class path of a broker. Fetches the jars at first; several processes may do so at once. */
export async function kafkaClassPath(): Promise<string> {
  const jars = jarsDirectory();
  if (!existsSync(jars)) await fetchJars(jars);
  return join(jars, "*");
}

function jarsDirectory(): string {
  const caches = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(caches, "tidings", `kafka-${KAFKA_VERSION}`);
}

async function fetchJars(jars: string): Promise<void> {
  await mkdir(join(jars, ".."), { recursive: true });
  const work = await mkdtemp(`${jars}-`);
  try {
    await writeFile(join(work, "pom.xml"), pom());
    await run("mvn", ["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"], {
      cwd: work,
      maxBuffer: 64 * 1024 * 1024,
    });
    // The rename is all or nothing: the second process finds the jars of the first and drops its own.
    await rename(join(work, "jars"), jars).catch((error: unknown) => {
      if (!existsSync(jars)) throw error;
    });
  } catch (error) {
    throw new Error(`Cannot fetch Kafka ${KAFKA_VERSION} with Maven: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function pom(): string {
  const dependency = (group: string, artifact: string, version: string) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
  return [
    "<project><modelVersion>4.0.0</modelVersion>",
    "<groupId>tidings</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><dependencies>",
    dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    dependency("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    // Without this binding a broker logs nothing, not even why it does not start.
    dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    "</dependencies></project>",
  ].join("");
}
