// A simulated process's connections to the simulated brokers, behind the interface of core/log/kafka/cluster/cluster.ts. On each
// connection, requests and answers arrive in order and after a while. A connection can be cut, and then nobody knows what was done.
import type { Cluster, ClusterOptions } from "../../../core/log/kafka/cluster/cluster.ts";
import { decodeBatches } from "../../../core/log/kafka/protocol/record-batch.ts";
import { NoAnswer } from "../../../core/log/kafka/protocol/kafka-error.ts";
import type { ClusterMetadata } from "../../../core/log/kafka/protocol/cluster-requests.ts";
import type { KafkaRequest } from "../../../core/log/kafka/protocol/request.ts";
import type { Machine, SimProcess, Task } from "../time/machine.ts";
import type { Random } from "../../support/load/random.ts";
import type { Broker } from "./broker.ts";
import { NODES } from "./broker.ts";
import { type Asked, readRequest } from "./requests.ts";

/** A process's network, which all its connections share. */
export interface Link {
  readonly machine: Machine;
  readonly broker: Broker;
  readonly random: Random;
  readonly process: SimProcess;
  /** Usual time of one way, ms. */
  readonly delayMs: number;
  /** The most that answers to fetches are late, ms. */
  readonly lagMs: number;
  /** How likely a connection breaks at a request. */
  breaks: number;
  /** Nothing gets through before. */
  cutUntil: number;
  /** How many requests were sent; numbers them. */
  sent: number;
  readonly underWay: Set<number>;
  /** When the last heartbeat or sync was sent that the group acknowledged. */
  confirmedAt: number;
  /** Called for each mark that an owner writes (A3.2). */
  readonly onMark: (owner: string) => void;
  /** Requests with a higher number never left the process, which is dead. */
  lostAfter: number;
}

export function newLink(
  options: Pick<Link, "machine" | "broker" | "random" | "process" | "delayMs" | "lagMs" | "onMark">,
): Link {
  return {
    ...options,
    breaks: 0,
    cutUntil: 0,
    sent: 0,
    underWay: new Set(),
    confirmedAt: -Infinity,
    lostAfter: Infinity,
  };
}

type Question = Asked | { readonly name: "Metadata" } | { readonly name: "FindCoordinator"; readonly id: string };

interface Job {
  readonly question: Question;
  readonly number: number;
  readonly sentAt: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  late: Task | undefined;
}

const REQUEST_TIMEOUT_MS = 5_000;
const MARK_KEY = "~owner";
const REBALANCE_IN_PROGRESS = 27;

/** A connection to one node. */
class Connection {
  readonly #link: Link;
  readonly #node: number;
  readonly #topics: readonly string[];
  readonly #onEnd: () => void;
  readonly #pending = new Set<Job>();
  readonly #arrived: Job[] = [];
  readonly #lag: number;
  #serving = false;
  #lastArrival = 0;
  #lastAnswer = 0;
  #ended = false;

  constructor(link: Link, node: number, topics: readonly string[], onEnd: () => void) {
    this.#link = link;
    this.#node = node;
    this.#topics = topics;
    this.#onEnd = onEnd;
    const { random, lagMs } = link;
    this.#lag = lagMs > 0 && random.chance(0.4) ? random.between(0, lagMs) : 0;
    // Connecting takes a round trip.
    this.#lastArrival = link.machine.now + link.random.delay(link.delayMs);
  }

  send(question: Question, timeoutMs: number): Promise<unknown> {
    const { machine, random, process, delayMs } = this.#link;
    return new Promise((resolve, reject) => {
      const number = ++this.#link.sent;
      const job: Job = { question, number, sentAt: machine.now, resolve, reject, late: undefined };
      this.#watch(question);
      this.#pending.add(job);
      this.#link.underWay.add(job.number);
      job.late = machine.after(timeoutMs, process, "timer", () => this.end(`no answer within ${timeoutMs} ms`));
      this.#lastArrival = Math.max(this.#lastArrival, machine.now + random.delay(delayMs));
      machine.at(this.#lastArrival, undefined, `arrives ${question.name}`, () => this.#arrive(job));
      if (random.chance(this.#link.breaks)) {
        machine.after(random.delay(delayMs * 2), process, "broken", () => this.end("the connection broke"));
      }
    });
  }

  #watch(question: Question): void {
    if (question.name !== "Produce" || question.transactionalId === null) return;
    for (const { batch, partition } of question.parts) {
      if (!batch.includes(MARK_KEY)) continue;
      for (const { key, value } of decodeBatches(batch, partition).flatMap((one) => one.records())) {
        if (key === MARK_KEY && value !== null) this.#link.onMark(Buffer.from(value).toString());
      }
    }
  }

  /** The group confirms the session: it is at rest, or its rebalance waits for this member. */
  #confirm({ question, sentAt }: Job, answer: unknown): void {
    if (question.name !== "Heartbeat" && question.name !== "SyncGroup") return;
    const { errorCode } = answer as { errorCode: number };
    const acknowledged = errorCode === 0 || (errorCode === REBALANCE_IN_PROGRESS && question.name === "Heartbeat");
    if (acknowledged) this.#link.confirmedAt = Math.max(this.#link.confirmedAt, sentAt);
  }

  #arrive(job: Job): void {
    const { machine, cutUntil, broker, lostAfter, underWay, process } = this.#link;
    const until = Math.max(cutUntil, broker.stalledUntil(this.#node));
    // The process died before the request left it.
    if (job.number > lostAfter && process.state === "dead") return;
    if (until > machine.now) return void machine.at(until, undefined, "arrives late", () => this.#arrive(job));
    underWay.delete(job.number);
    this.#arrived.push(job);
    this.#serve();
  }

  /** One request after the other, as a broker does. */
  #serve(): void {
    if (this.#serving) return;
    const job = this.#arrived.shift();
    if (job === undefined) return;
    const { question } = job;
    this.#serving = true;
    if (question.name === "Fetch") return this.#await(job, question);
    const { broker } = this.#link;
    const respond = (answer: unknown) => {
      this.#serving = false;
      this.#answer(job, answer);
      this.#serve();
    };
    if (question.name === "Metadata") respond(broker.metadata(this.#topics));
    else if (question.name === "FindCoordinator") respond(broker.coordinatorOf(question.id));
    else broker.serve(question, respond);
  }

  /** A fetch waits for something to read. */
  #await(job: Job, asked: Asked & { name: "Fetch" }): void {
    const { machine, broker } = this.#link;
    const partitions = asked.parts.map((part) => broker.partition(part));
    const over = (answer: unknown) => {
      for (const partition of partitions) partition.waiting.delete(look);
      waited.cancelled = true;
      this.#serving = false;
      this.#answer(job, answer);
      this.#serve();
    };
    const look = () => {
      const answer = broker.fetch(asked, false);
      if (answer !== undefined) over(answer);
    };
    const waited = machine.after(asked.maxWaitMs, undefined, "fetch waited", () => over(broker.fetch(asked, true)));
    for (const partition of partitions) partition.waiting.add(look);
    look();
  }

  #answer(job: Job, answer: unknown): void {
    const { machine, random, delayMs } = this.#link;
    const { question } = job;
    // Only answers to followers are late.
    const lag = question.name === "Fetch" && question.maxWaitMs > 0 ? this.#lag : 0;
    this.#lastAnswer = Math.max(this.#lastAnswer, machine.now + lag + random.delay(delayMs));
    this.#deliver(job, answer, this.#lastAnswer);
  }

  #deliver(job: Job, answer: unknown, at: number): void {
    const { machine, process } = this.#link;
    machine.at(at, process, `answer ${job.question.name}`, () => {
      if (this.#ended) return;
      if (this.#link.cutUntil > machine.now) return this.#deliver(job, answer, this.#link.cutUntil);
      if (job.late !== undefined) job.late.cancelled = true;
      this.#pending.delete(job);
      this.#confirm(job, answer);
      job.resolve(answer);
    });
  }

  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    for (const job of this.#pending) {
      if (job.late !== undefined) job.late.cancelled = true;
      job.reject(new NoAnswer(`broker-${this.#node}: ${reason}`));
    }
    this.#pending.clear();
  }
}

export function createSimCluster(link: Link, { kafkaTopics }: Pick<ClusterOptions, "kafkaTopics">): Cluster {
  const connections = new Map<number, Connection>();
  let last: ClusterMetadata | undefined;
  let asking: Promise<ClusterMetadata> | undefined;
  let closed = false;

  function ask(node: number, question: Question, timeoutMs = REQUEST_TIMEOUT_MS): Promise<unknown> {
    if (closed) return Promise.reject(new NoAnswer("closed here"));
    let connection = connections.get(node);
    if (connection === undefined) {
      const opened = new Connection(link, node, kafkaTopics, () => {
        if (connections.get(node) === opened) connections.delete(node);
      });
      connections.set(node, connection = opened);
    }
    return connection.send(question, timeoutMs);
  }

  async function metadata(): Promise<ClusterMetadata> {
    let failure: unknown;
    for (const node of NODES) {
      try {
        return last = await ask(node, { name: "Metadata" }) as ClusterMetadata;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }
  const refresh = () => asking ??= metadata().finally(() => asking = undefined);

  return {
    known: () => last === undefined ? refresh() : Promise.resolve(last),
    refresh,
    leaderOf: (kafkaTopic, partition) =>
      last?.kafkaTopics.find((one) => one.kafkaTopic === kafkaTopic)?.partitions[partition]?.leader,
    async coordinatorOf(_kept, id) {
      if (last === undefined) await refresh();
      return await ask(link.random.pick(NODES), { name: "FindCoordinator", id }) as number;
    },
    async send<Answer>(node: number, request: KafkaRequest<Answer>, timeoutMs?: number): Promise<Answer> {
      return await ask(node, readRequest(request), timeoutMs) as Answer;
    },
    close() {
      closed = true;
      for (const connection of connections.values()) connection.end("closed here");
    },
  };
}
