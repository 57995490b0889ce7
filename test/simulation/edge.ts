// A simulated edge: it asks any core, and without an answer another one with the same id, for at most 60 s (A3.8).
import { frameContent } from "../../shared/content-frame.ts";
import {
  CALLER_HEADER,
  CORE_PATHS,
  type MoveOperation,
  type Operation,
  type SubscriptionStatus,
} from "../../shared/core-api.ts";
import type { Books, Pair, Published } from "./books.ts";
import type { CoreProcess, CoreRequest, Reply } from "./core-process.ts";
import type { Machine } from "./time/machine.ts";
import type { Random } from "../support/load/random.ts";

type Unmade<T> = T extends unknown ? Omit<T, "id" | "madeAt"> : never;

const TRY_MS = 7_000;
const RETRY_FOR_MS = 60_000;

export class Edge {
  readonly #machine: Machine;
  readonly #random: Random;
  readonly #books: Books;
  readonly #cores: () => readonly CoreProcess[];
  #operations = 0;

  constructor(
    { machine, random, books, cores }: {
      machine: Machine;
      random: Random;
      books: Books;
      cores: () => readonly CoreProcess[];
    },
  ) {
    this.#machine = machine;
    this.#random = random;
    this.#books = books;
    this.#cores = cores;
  }

  newId(): string {
    return `op-${++this.#operations}`;
  }

  /** Resolves to the first answer that is not "try again"; undefined if none came in time. */
  async ask(request: CoreRequest): Promise<Reply | undefined> {
    const until = this.#machine.now + RETRY_FOR_MS;
    for (;;) {
      const up = this.#cores().filter(({ ready, alive }) => ready && alive);
      const core = up.length === 0 ? undefined : this.#random.pick(up);
      const reply = await core?.ask(request, TRY_MS);
      if (reply !== undefined && reply.status !== 503) return reply;
      if (this.#machine.now > until) return undefined;
      await this.#machine.sleep(this.#random.between(50, 1_000));
    }
  }

  async operate(operation: Unmade<Operation>, id = this.newId()): Promise<Reply | undefined> {
    const body = JSON.stringify({ ...operation, id, madeAt: Math.floor(this.#machine.now) });
    const headers = { "content-type": "application/json" };
    const reply = await this.ask({ method: "POST", path: CORE_PATHS.operations, headers, body });
    if (reply?.status === 200) this.#books.accepted.push({ id, what: operation.kind, at: this.#machine.now });
    return reply;
  }

  async move(operation: Unmade<MoveOperation>): Promise<Reply | undefined> {
    const id = this.newId();
    const body = JSON.stringify({ ...operation, id, madeAt: Math.floor(this.#machine.now) });
    const headers = { "content-type": "application/json" };
    const reply = await this.ask({ method: "POST", path: CORE_PATHS.subscriptions, headers, body });
    if (reply?.status === 200 && operation.kind !== "replay") {
      this.#books.accepted.push({ id, what: operation.kind, at: this.#machine.now });
    }
    return reply;
  }

  /** `mustBeKnown`: the hub has said that its subscribe was verified. */
  async status({ topic, callback, name }: Pair, mustBeKnown = false): Promise<SubscriptionStatus | undefined> {
    const query = new URLSearchParams({ topic, callback });
    const headers = { [CALLER_HEADER]: encodeURIComponent(JSON.stringify({ kind: "anyone" })) };
    const reply = await this.ask({ method: "GET", path: `${CORE_PATHS.subscriptions}?${query}`, headers });
    if (mustBeKnown && reply?.status === 404) {
      this.#books.wrongAnswers.push(`${name} is not known at ${Math.round(this.#machine.now)}, after it was verified`);
    }
    return reply?.status === 200 ? reply.body as SubscriptionStatus : undefined;
  }

  /** `mustBeKnown`: the topic was registered and nobody ends it. */
  async publish(topic: string, body: string, key: string | undefined, mustBeKnown: boolean): Promise<void> {
    const published: Published = { topic, body, key, id: this.newId(), sentAt: this.#machine.now };
    this.#books.published.push(published);
    const reply = await this.ask({
      method: "POST",
      path: CORE_PATHS.messages,
      headers: {},
      body: frameContent({
        id: published.id,
        madeAt: Math.floor(this.#machine.now),
        topic,
        contentType: "text/plain",
        ...(key === undefined ? {} : { key }),
      }, Buffer.from(body)),
    });
    if (mustBeKnown && reply?.status === 404) {
      this.#books.wrongAnswers.push(
        `${topic} is not known at ${Math.round(this.#machine.now)}, after it was registered`,
      );
    }
    if (reply?.status !== 200) return;
    const { id, cursor } = reply.body as { id: string; cursor: string };
    Object.assign(published, { ackedAt: this.#machine.now, messageId: id, cursor });
  }
}
