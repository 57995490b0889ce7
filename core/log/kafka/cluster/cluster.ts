// Connections to a cluster's brokers, and what is known of the cluster: who leads which partition. A broker answers the requests of
// one connection in order, so long fetches and requests that must be quick have cluster objects of their own.
import { getLogger } from "@logtape/logtape";
import { type Connection, openConnection } from "./connection.ts";
import { CODE, failOn, NoAnswer, NotAdmitted } from "../protocol/kafka-error.ts";
import type { KafkaSecurity } from "./security.ts";
import type { KafkaRequest } from "../protocol/request.ts";
import {
  type Address,
  type ClusterMetadata,
  type CoordinatorKind,
  findCoordinator,
  metadata,
} from "../protocol/cluster-requests.ts";

export interface Cluster {
  /** The cluster as last learned; asks a broker if nothing was learned yet. @throws {NoAnswer} if no broker answers */
  known(): Promise<ClusterMetadata>;
  /** Asks a broker again; calls at the same time share one request. @throws {NoAnswer} if no broker answers */
  refresh(): Promise<ClusterMetadata>;
  /** The node that leads a partition, as last learned. */
  leaderOf(kafkaTopic: string, partition: number): number | undefined;
  /** The node that coordinates a group, or the transactions of a transactional id. @throws {KafkaError} {NoAnswer} */
  coordinatorOf(kind: CoordinatorKind, id: string): Promise<number>;
  /** @throws {NoAnswer} if the node is not known, is not reached, or does not answer in time */
  send<Answer>(node: number, request: KafkaRequest<Answer>, timeoutMs?: number): Promise<Answer>;
  /** Closes at once: requests on their way reject with NoAnswer. */
  close(): void;
}

export interface ClusterOptions {
  /** `host:port` each; the first that answers tells of the others. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly security: KafkaSecurity;
  /** The Kafka topics that metadata is asked about. */
  readonly kafkaTopics: readonly string[];
}

type HostAndPort = Pick<Address, "host" | "port">;

const CONNECT_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 5_000;

const logger = getLogger(["tidings", "core", "log"]);

export function createCluster(options: ClusterOptions): Cluster {
  return new KafkaCluster(options);
}

class KafkaCluster implements Cluster {
  readonly #options: ClusterOptions;
  /** Addresses by node, as last learned. */
  readonly #addresses = new Map<number, Address>();
  /** Connections by `host:port`. */
  readonly #connections = new Map<string, Promise<Connection>>();
  /** Leaders by Kafka topic, then partition. */
  readonly #leaders = new Map<string, number[]>();
  #last: ClusterMetadata | undefined;
  #asking: Promise<ClusterMetadata> | undefined;
  #closed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  known(): Promise<ClusterMetadata> {
    return this.#last === undefined ? this.refresh() : Promise.resolve(this.#last);
  }

  refresh(): Promise<ClusterMetadata> {
    return this.#asking ??= this.#ask().finally(() => this.#asking = undefined);
  }

  leaderOf(kafkaTopic: string, partition: number): number | undefined {
    return this.#leaders.get(kafkaTopic)?.[partition];
  }

  async coordinatorOf(kind: CoordinatorKind, id: string): Promise<number> {
    if (this.#last === undefined) await this.refresh();
    const [any] = this.#connectedFirst([...this.#addresses.values()]);
    if (any === undefined) throw new NoAnswer("no broker is known");
    let answer;
    try {
      answer = await this.#sendTo(any, findCoordinator(kind, id));
    } catch (error) {
      // That broker may be gone for good, so the next try needs to know the others.
      await this.refresh();
      throw error;
    }
    failOn(answer.errorCode, `Cannot find the coordinator of ${id}`, answer.errorMessage);
    this.#addresses.set(answer.coordinator.nodeId, answer.coordinator);
    return answer.coordinator.nodeId;
  }

  async send<Answer>(node: number, request: KafkaRequest<Answer>, timeoutMs?: number): Promise<Answer> {
    const address = this.#addresses.get(node);
    if (address === undefined) throw new NoAnswer(`node ${node} is not known`);
    return await this.#sendTo(address, request, timeoutMs);
  }

  close(): void {
    this.#closed = true;
    for (const opening of this.#connections.values()) opening.then((open) => open.close(), () => {});
    this.#connections.clear();
  }

  async #sendTo<Answer>(
    { host, port }: HostAndPort,
    request: KafkaRequest<Answer>,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Answer> {
    const open = await this.#connection(host, port);
    if (this.#closed) open.close();
    return await open.send(request, timeoutMs);
  }

  /** The connection that is open or being opened, else a new one. */
  #connection(host: string, port: number): Promise<Connection> {
    if (this.#closed) return Promise.reject(new NoAnswer("closed here"));
    const where = `${host}:${port}`;
    const open = this.#connections.get(where);
    if (open !== undefined) return open;
    const forget = () => {
      if (this.#connections.get(where) === opening) this.#connections.delete(where);
    };
    const onEnd = (reason: string) => {
      forget();
      if (!this.#closed) logger.debug("the connection to {where} ended: {reason}", { where, reason });
    };
    const { clientId, security } = this.#options;
    const opening = openConnection({ host, port, clientId, security, connectTimeoutMs: CONNECT_TIMEOUT_MS, onEnd });
    opening.catch(forget);
    this.#connections.set(where, opening);
    return opening;
  }

  async #ask(): Promise<ClusterMetadata> {
    const { brokers, kafkaTopics } = this.#options;
    let failure: unknown = new NoAnswer("no broker is known");
    for (const broker of this.#connectedFirst([...this.#addresses.values(), ...brokers.map(parseBroker)])) {
      try {
        return this.#learn(await this.#sendTo(broker, metadata(kafkaTopics)));
      } catch (error) {
        // A broker that does not admit us has said more than one that is away.
        if (!(failure instanceof NotAdmitted)) failure = error;
      }
    }
    throw failure;
  }

  /** Brokers that are connected answer without delay. */
  #connectedFirst<T extends HostAndPort>(brokers: readonly T[]): T[] {
    const rank = ({ host, port }: HostAndPort) => this.#connections.has(`${host}:${port}`) ? 0 : 1;
    return brokers.toSorted((a, b) => rank(a) - rank(b));
  }

  #learn(answer: ClusterMetadata): ClusterMetadata {
    // A broker that has just started may not know the others yet.
    if (answer.brokers.length === 0) throw new NoAnswer("the broker knows no broker yet");
    this.#addresses.clear();
    for (const address of answer.brokers) this.#addresses.set(address.nodeId, address);
    this.#leaders.clear();
    for (const { kafkaTopic, partitions } of answer.kafkaTopics) {
      const ofTopic: number[] = [];
      for (const { partition, leader, errorCode } of partitions) {
        if (errorCode !== CODE.LEADER_NOT_AVAILABLE && leader >= 0) ofTopic[partition] = leader;
      }
      this.#leaders.set(kafkaTopic, ofTopic);
    }
    return this.#last = answer;
  }
}

/** Parses `host:port` or `[v6]:port`. */
function parseBroker(broker: string): HostAndPort {
  const colon = broker.lastIndexOf(":");
  return { host: broker.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(broker.slice(colon + 1)) };
}
