// Apache Kafka from its Maven artifacts.
import { classPathOf, type Dependency, HOW_MAVEN, jarsMissing, javaVersion } from "../java/maven.ts";

export const KAFKA_VERSION = "4.1.0";
const NAME = `kafka-${KAFKA_VERSION}`;
const JARS: readonly Dependency[] = [
  ["org.apache.kafka", "kafka_2.13", KAFKA_VERSION],
  ["org.apache.kafka", "kafka-tools", KAFKA_VERSION],
  // Without this binding a broker logs nothing, not even why it does not start.
  ["org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"],
];

/** What is missing to start a broker here, and how to get it; undefined if nothing is. */
export async function kafkaMissing(): Promise<string | undefined> {
  const java = await javaVersion();
  if (java === undefined) return `there is no java on the PATH (${HOW_MAVEN})`;
  if (java < 17) return `java is version ${java}, Kafka needs 17 or newer (${HOW_MAVEN})`;
  return await jarsMissing(NAME);
}

/** The class path of a broker. */
export function kafkaClassPath(): Promise<string> {
  return classPathOf(NAME, JARS);
}
