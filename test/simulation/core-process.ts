// A whole core in a simulated process: the real log adapter over simulated brokers, and everything above it. A run starts, stops,
// wakes and kills it as often as it wants. The replica's file stays.
import { join } from "node:path";
import { openKafkaLog } from "../../core/log/kafka/kafka-log.ts";
import type { Log } from "../../core/log/log.ts";
import { bePatient } from "../../core/log/patient.ts";
import { type Core, startCore } from "../../core/core.ts";
import type { Transport } from "../../core/delivery/sending/transport.ts";
import type { HttpCall, HttpReply } from "../../shared/http-client.ts";
import type { Metrics } from "../../shared/metrics.ts";
import type { Outbound } from "../../shared/outbound/outbound.ts";
import { parseSettings } from "../../shared/settings/settings.ts";
import { createSessions, type Sessions } from "../../edge/core/session.ts";
import { NODE_DIGESTS } from "../../shared/runtime/digests.ts";
import { CORE_KEY, EDGE_KEY, EDGES } from "../support/keys.ts";
import type { Broker } from "./kafka/broker.ts";
import { createSimCluster, type Link, newLink } from "./kafka/cluster.ts";
import type { Machine, SimProcess } from "./time/machine.ts";
import type { Random } from "../support/load/random.ts";
import type { Sabotage } from "./sabotage.ts";

export const PREFIX = "sim";
const REQUEST_STEPS_MS = 1;
const ORIGIN = "http://core";
const SESSION_WITHIN_MS = 5_000;

export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** What an edge sends. */
export interface CoreRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface CoreProcessOptions {
  readonly machine: Machine;
  readonly broker: Broker;
  readonly random: Random;
  readonly name: string;
  readonly directory: string;
  readonly partitions: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly networkMs: number;
  readonly lagMs: number;
  readonly transport: (link: Link, name: string) => Transport;
  readonly outbound: (link: Link) => Outbound;
  readonly sabotage: Sabotage;
  /** By the value of an owner's mark, the number of the life that wrote it. */
  readonly marks: Map<string, number>;
  /** The core reported a fatal error; the process is dead. */
  readonly onFatal: (core: CoreProcess, error: Error) => void;
}

/** One life of a core. The next life is another object with the same directory. */
export class CoreProcess {
  readonly name: string;
  readonly process: SimProcess;
  readonly link: Link;
  readonly #options: CoreProcessOptions;
  #core: Core | undefined;
  #log: Log | undefined;
  readonly #sessions: Sessions;
  /** Requests without an answer; their connections break when the process dies. */
  readonly #asked = new Set<() => void>();
  ready = false;
  /** Whether it was asked to end. */
  leaving = false;

  constructor(options: CoreProcessOptions) {
    const { machine, broker, random, name, networkMs, lagMs } = options;
    this.#options = options;
    this.name = name;
    this.process = machine.newProcess(name);
    const { process } = this;
    const onMark = (owner: string) => void options.marks.set(owner, process.index);
    this.link = newLink({ machine, broker, random, process, delayMs: networkMs, lagMs, onMark });
    const clock = () => Math.floor(machine.now);
    const http = { send: (call: HttpCall) => this.#send(call) };
    this.#sessions = createSessions({ http, key: EDGE_KEY, digests: NODE_DIGESTS, clock });
    machine.after(0, this.process, "begins", () => {
      this.#start().catch((error: Error) => this.#fatal(error));
    });
  }

  get alive(): boolean {
    return this.process.state !== "dead";
  }

  async #start(): Promise<void> {
    const { machine, random, directory, partitions, transport, outbound, sabotage } = this.#options;
    const now = () => Math.floor(machine.now);
    const settings = parseSettings({
      TIDINGS_DATA_DIR: directory,
      TIDINGS_KAFKA_BROKERS: "broker-1:9092",
      TIDINGS_KAFKA_PREFIX: PREFIX,
      ...this.#options.settings,
    });
    const opened = sabotage.log(
      await openKafkaLog({
        brokers: settings.kafkaBrokers,
        prefix: PREFIX,
        clientId: "simulated",
        retentionMs: settings.retentionMs,
        maxMessageBytes: settings.messageMaxBytes,
        partitions,
        clock: now,
        connect: (options) => createSimCluster(this.link, options),
      }),
    );
    // No signal: a core that leaves closes the log itself.
    const { log, started } = bePatient(opened, new AbortController().signal);
    this.#log = log;
    this.#core = await startCore({
      settings,
      keys: [CORE_KEY],
      edges: EDGES,
      log,
      transport: transport(this.link, this.name),
      outbound: outbound(this.link),
      metrics: NO_METRICS,
      clock: now,
      random: random.unit,
      onFatal: (error) => this.#fatal(error),
    });
    started();
    this.ready = true;
  }

  #fatal(error: Error): void {
    if (!this.alive || this.leaving) return;
    this.#options.onFatal(this, error);
    this.kill();
  }

  /** SIGKILL: the last bytes that were under way to the brokers may never have left. */
  kill(): void {
    const { random } = this.#options;
    const underWay = [...this.link.underWay];
    if (underWay.length > 0 && random.chance(0.5)) this.link.lostAfter = random.pick(underWay) - 1;
    this.ready = false;
    this.#options.machine.kill(this.process);
    for (const reset of this.#asked) reset();
  }

  /** SIGSTOP. */
  stop(): void {
    this.#options.machine.stop(this.process);
  }

  /** SIGCONT. */
  wake(): void {
    this.#options.machine.wake(this.process, this.#options.random.chance(0.5));
  }

  /** SIGTERM: ends as core/main.ts and core/open.ts do. */
  leave(ended: () => void): void {
    const { machine } = this.#options;
    this.leaving = true;
    this.ready = false;
    machine.after(0, this.process, "SIGTERM", () => {
      void (async () => {
        this.#core?.endStreams();
        await this.#core?.stop(10_000);
        await this.#log?.close();
      })().catch(() => {}).then(() => {
        machine.after(0, undefined, "ended", () => {
          this.kill();
          ended();
        });
      });
    });
  }

  /** Resolves to the answer; undefined if none came in the time that an edge waits. */
  ask(request: CoreRequest, withinMs: number): Promise<Reply | undefined> {
    const { machine, random } = this.#options;
    return new Promise((resolve) => {
      const answered = (reply: Reply | undefined) =>
        void machine.after(random.delay(REQUEST_STEPS_MS), undefined, "edge hears", () => end(reply));
      const reset = () => answered(undefined);
      const end = (reply: Reply | undefined) => {
        late.cancelled = true;
        this.#asked.delete(reset);
        resolve(reply);
      };
      const late = machine.after(withinMs, undefined, "edge gives up", () => end(undefined));
      this.#asked.add(reset);
      if (!this.ready || !this.alive) return answered(undefined);
      machine.after(random.delay(REQUEST_STEPS_MS), this.process, "is asked", () => {
        void this.#handle(request).then(answered, () => answered(undefined));
      });
    });
  }

  async #send({ method, path, headers, body }: HttpCall): Promise<HttpReply> {
    const response = await this.#core!.fetch(new Request(`${ORIGIN}${path}`, requestOf({ method, headers, body })));
    return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) };
  }

  async #handle({ method, path, headers, body }: CoreRequest): Promise<Reply | undefined> {
    if (this.#core === undefined || this.leaving) return undefined;
    // ARCHITECTURE §5: an edge opens a session with each core and signs its requests.
    const session = await this.#sessions.with(ORIGIN, SESSION_WITHIN_MS);
    const signed = await session.sign({
      method,
      path,
      headers: { ...headers },
      ...(body === undefined ? {} : { body }),
    });
    const response = await this.#core.fetch(new Request(`${ORIGIN}${path}`, requestOf(signed)));
    return { status: response.status, body: await response.json() };
  }
}

function requestOf({ method, headers, body }: Pick<HttpCall, "method" | "headers"> & { body?: HttpCall["body"] }) {
  return { method, headers, body: body === undefined ? null : body as BodyInit };
}

const none = { inc() {}, set() {}, observe() {} };
const NO_METRICS: Metrics = {
  counter: () => none,
  totals() {},
  gauge: () => none,
  histogram: () => none,
  render: () => Promise.resolve({ contentType: "text/plain", text: "" }),
};

/** Where a core of this name keeps its replica. */
export function directoryOf(root: string, name: string): string {
  return join(root, name);
}
