// What a broker keeps, according to the broker itself, so that a test can show that it ran on Kafka.
import { type Admin, Kafka, logLevel } from "kafkajs";

/** Connects an admin client of kafkajs for as long as `use` runs. */
export async function withAdmin<T>(brokers: readonly string[], use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ clientId: "tidings-tests", brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

/** The streams (`messages`, `events` …) that a hub with this prefix keeps on the broker. */
export async function streamsOnKafka(brokers: readonly string[], prefix: string): Promise<string[]> {
  const kafkaTopics = await withAdmin(brokers, (admin) => admin.listTopics());
  return kafkaTopics.filter((name) => name.startsWith(`${prefix}.`)).map((name) => name.slice(prefix.length + 1))
    .toSorted();
}

/** Whether every replica of every partition is in sync, so that one broker may stop without leaving too few. */
export async function areInSync(brokers: readonly string[]): Promise<boolean> {
  const admin = new Kafka({
    clientId: "tidings-tests",
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    retry: { retries: 1 },
  })
    .admin();
  try {
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata();
    return topics.every(({ partitions }) =>
      partitions.every(({ isr, replicas, leader }) => leader >= 0 && isr.length === replicas.length)
    );
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => {});
  }
}
