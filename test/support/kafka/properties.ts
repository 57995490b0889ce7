// The settings of brokers for tests: KRaft, each node is broker and controller, and what takes minutes in production happens every
// few hundred ms.

/** Ports of 127.0.0.1, as `openStallingProxy` takes them. */
export interface Door {
  readonly listen: number;
  readonly to: number;
}

/** Where a node listens on 127.0.0.1: for clients, for the other controllers, and for clients that come by a proxy. */
export interface KafkaPorts {
  readonly port: number;
  readonly controllerPort: number;
  readonly doors?: readonly Door[];
}

/** The lines of `server.properties` of a node that admits any client. */
function openListeners({ port, controllerPort, doors = [] }: KafkaPorts): string[] {
  const at = (port: number) => `127.0.0.1:${port}`;
  const doorsAt = (which: "listen" | "to") => doors.map((door, n) => `,DOOR${n}://${at(door[which])}`).join("");
  const protocols = doors.map((_, n) => `,DOOR${n}:PLAINTEXT`).join("");
  return [
    `listeners=PLAINTEXT://${at(port)},CONTROLLER://${at(controllerPort)}${doorsAt("to")}`,
    `advertised.listeners=PLAINTEXT://${at(port)}${doorsAt("listen")}`,
    `listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${protocols}`,
  ];
}

/** The lines of one node of a cluster (index from 0), with its listeners and without its directory. */
export function kafkaProperties(
  nodes: readonly KafkaPorts[],
  index: number,
  listeners: readonly string[] = openListeners(nodes[index]!),
): string[] {
  const copies = Math.min(3, nodes.length);
  const insync = copies >= 3 ? 2 : 1;
  return [
    "process.roles=broker,controller",
    `node.id=${index + 1}`,
    ...listeners,
    "controller.listener.names=CONTROLLER",
    `controller.quorum.voters=${nodes.map((node, other) => `${other + 1}@127.0.0.1:${node.controllerPort}`).join(",")}`,
    "auto.create.topics.enable=false",
    // A killed broker can come back only when its session is over.
    "broker.session.timeout.ms=1500",
    "broker.heartbeat.interval.ms=300",
    `offsets.topic.replication.factor=${copies}`,
    "offsets.topic.num.partitions=4",
    "group.initial.rebalance.delay.ms=0",
    `transaction.state.log.replication.factor=${copies}`,
    `transaction.state.log.min.isr=${insync}`,
    "transaction.state.log.num.partitions=4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
    `min.insync.replicas=${insync}`,
    "log.initial.task.delay.ms=300",
    "log.retention.check.interval.ms=300",
    "log.cleaner.backoff.ms=300",
    "log.cleaner.dedupe.buffer.size=8388608",
    "num.network.threads=2",
    "num.io.threads=4",
  ];
}
