// Three real Kafka brokers for tests. Each is broker and controller, so that one may die and the others go on. They never outlive the
// process that started them.
import { freePort } from "../free-port.ts";
import { type Kafka, newClusterId, prepareKafkaNode } from "./node.ts";
import { type KafkaPorts, kafkaProperties } from "./properties.ts";

/** Brokers that keep each record three times and acknowledge it at two. */
export interface KafkaCluster {
  readonly nodes: readonly Kafka[];
  readonly addresses: readonly string[];
  /** Ends all of them and removes their data. */
  close(): Promise<void>;
}

const NODES = 3;

/**
 * Starts three brokers, in 5 to 10 s; `different` are lines of `server.properties` that differ.
 * @throws {Error} with the output of one that does not come up
 */
export async function startKafkaCluster(different: readonly string[] = []): Promise<KafkaCluster> {
  const ports: KafkaPorts[] = [];
  for (let index = 0; index < NODES; index++) {
    ports.push({ port: await freePort(), controllerPort: await freePort() });
  }
  const clusterId = newClusterId();
  const nodes: Kafka[] = [];
  const close = async () => {
    await Promise.all(nodes.map((node) => node.close()));
  };
  try {
    await Promise.all(ports.map(async ({ port }, index) => {
      const properties = () => [...kafkaProperties(ports, index), ...different];
      nodes[index] = await prepareKafkaNode({ port, properties, clusterId, heapMb: 256 });
    }));
    // One node alone has no quorum, so it serves only when the next one runs.
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return { nodes, addresses: nodes.map(({ address }) => address), close };
}
