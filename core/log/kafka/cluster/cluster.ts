// Connections to a cluster's brokers and what is known of it: who leads which partition. A broker answers the requests of one
// connection in turn, so whoever waits in a long fetch, and whoever must be quick, has a cluster object of its own.
import { getLogger } from "@logtape/logtape";
import { type Connection, openConnection } from "./connection.ts";
import { CODE, failOn, NoAnswer, NotAdmitted } from "../protocol/kafka-error.ts";
import type { KafkaSecurity } from "./security.ts";
import type { KafkaRequest } from "../protocol/request.ts";
import {
  type Address,
  type ClusterMetadata,
  type Coordinated,
  findCoordinator,
  metadata,
} from "../protocol/cluster-requests.ts";

export interface Cluster {
  /** What was last learned; asks if nothing was. @throws {NoAnswer} if no broker answers */
  known(): Promise<ClusterMetadata>;
  /** Asks again; calls at the same time are one question. @throws {NoAnswer} if no broker answers */
  refresh(): Promise<ClusterMetadata>;
  /** The node that leads a partition, as last learned. */
  leaderOf(kafkaTopic: string, partition: number): number | undefined;
  /** The node that keeps a transactional id, or a group. @throws {KafkaError} {NoAnswer} */
  coordinatorOf(kind: Coordinated, id: string): Promise<number>;
  /** @throws {NoAnswer} if the node is not known or not reached, or does not answer in time */
  send<Answer>(node: number, request: KafkaRequest<Answer>, timeoutMs?: number): Promise<Answer>;
  /** At once: what waits rejects with NoAnswer. */
  close(): void;
}

export interface ClusterOptions {
  /** `host:port` each; the first that answers tells of the others. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly security: KafkaSecurity;
  /** What metadata is asked about. */
  readonly kafkaTopics: readonly string[];
}

const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 5_000;

const logger = getLogger(["tidings", "core", "log"]);

export function createCluster({ brokers, clientId, security, kafkaTopics }: ClusterOptions): Cluster {
  const addresses = new Map<number, Address>();
  const connections = new Map<string, Promise<Connection>>();
  const leaders = new Map<string, number[]>();
  let last: ClusterMetadata | undefined;
  let asking: Promise<ClusterMetadata> | undefined;
  let closed = false;

  function connection(host: string, port: number): Promise<Connection> {
    if (closed) return Promise.reject(new NoAnswer("closed here"));
    const where = `${host}:${port}`;
    const open = connections.get(where);
    if (open !== undefined) return open;
    const forget = () => {
      if (connections.get(where) === opening) connections.delete(where);
    };
    const onEnd = (reason: string) => {
      forget();
      if (!closed) logger.debug("the connection to {where} ended: {reason}", { where, reason });
    };
    const opening = openConnection({ host, port, clientId, security, connectTimeoutMs: CONNECT_TIMEOUT_MS, onEnd });
    opening.catch(forget);
    connections.set(where, opening);
    return opening;
  }

  async function sendTo<Answer>(
    { host, port }: { host: string; port: number },
    request: KafkaRequest<Answer>,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Answer> {
    const open = await connection(host, port);
    if (closed) open.close();
    return await open.send(request, timeoutMs);
  }

  async function ask(): Promise<ClusterMetadata> {
    const candidates = [...addresses.values(), ...brokers.map(parseBroker)];
    // Who is connected answers without delay.
    candidates.sort((a, b) => rank(b) - rank(a));
    let failure: unknown = new NoAnswer("no broker is known");
    for (const candidate of candidates) {
      try {
        return learn(await sendTo(candidate, metadata(kafkaTopics)));
      } catch (error) {
        // Who does not let us in has said more than one that is away.
        if (!(failure instanceof NotAdmitted)) failure = error;
      }
    }
    throw failure;
  }

  function rank({ host, port }: { host: string; port: number }): number {
    return connections.has(`${host}:${port}`) ? 1 : 0;
  }

  function learn(answer: ClusterMetadata): ClusterMetadata {
    // A broker that just started may not know the others yet.
    if (answer.brokers.length === 0) throw new NoAnswer("the broker knows no broker yet");
    addresses.clear();
    for (const address of answer.brokers) addresses.set(address.nodeId, address);
    leaders.clear();
    for (const { kafkaTopic, partitions } of answer.kafkaTopics) {
      const ofTopic: number[] = [];
      for (const { partition, leader, errorCode } of partitions) {
        if (errorCode !== CODE.LEADER_NOT_AVAILABLE && leader >= 0) ofTopic[partition] = leader;
      }
      leaders.set(kafkaTopic, ofTopic);
    }
    return last = answer;
  }

  function refresh(): Promise<ClusterMetadata> {
    return asking ??= ask().finally(() => asking = undefined);
  }

  return {
    known: () => last === undefined ? refresh() : Promise.resolve(last),
    refresh,
    leaderOf: (kafkaTopic, partition) => leaders.get(kafkaTopic)?.[partition],
    async coordinatorOf(kind, id) {
      if (last === undefined) await refresh();
      const any = [...addresses.values()].sort((a, b) => rank(b) - rank(a))[0];
      if (any === undefined) throw new NoAnswer("no broker is known");
      let answer;
      try {
        answer = await sendTo(any, findCoordinator(kind, id));
      } catch (error) {
        // That broker may be gone for good: the next try is to know the others.
        await refresh();
        throw error;
      }
      failOn(answer.errorCode, `Cannot find the coordinator of ${id}`, answer.errorMessage);
      addresses.set(answer.coordinator.nodeId, answer.coordinator);
      return answer.coordinator.nodeId;
    },
    async send(node, request, timeoutMs) {
      const address = addresses.get(node);
      if (address === undefined) throw new NoAnswer(`node ${node} is not known`);
      return await sendTo(address, request, timeoutMs);
    },
    close() {
      closed = true;
      for (const opening of connections.values()) opening.then((open) => open.close(), () => {});
      connections.clear();
    },
  };
}

/** `host:port`, `[v6]:port`. */
function parseBroker(broker: string): { host: string; port: number } {
  const colon = broker.lastIndexOf(":");
  return { host: broker.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(broker.slice(colon + 1)) };
}
