// Questions about offsets: where a partition starts and ends, and which record stands there at a time. All questions of one moment
// are one request to each leader. While it is on its way, the next ones gather (A3.6, A3.11).
import { pause } from "../../../shared/pause.ts";
import { LogError } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { CODE, isPassingCode, KafkaError } from "./protocol/kafka-error.ts";
import { partitionName } from "./protocol/request.ts";
import { listOffsets, type OffsetQuestion } from "./protocol/topic-requests.ts";

interface Question extends OffsetQuestion {
  /** Monotonic, ms. */
  readonly until: number;
  readonly answer: PromiseWithResolvers<number>;
}

const PATIENCE_MS = 5_000;
const PAUSE_MS = 50;

export class Offsets {
  readonly #cluster: Cluster;
  readonly #closing: AbortSignal;
  /** To be asked next; by partition and time. */
  #gathered = new Map<string, Question>();
  /** Leaders that have a request of ours. */
  readonly #asking = new Set<number>();
  #scheduled = false;

  constructor(cluster: Cluster, closing: AbortSignal) {
    this.#cluster = cluster;
    this.#closing = closing;
    closing.addEventListener("abort", () => {
      for (const question of this.#gathered.values()) refuse(question, "closed", "the log is closed");
      this.#gathered.clear();
    });
  }

  /**
   * The offset of the first record at or after `time` (ms), −1 if there is none. `time` may also be `START`, or
   * `END`: the last stable offset.
   * @throws {LogError} "unavailable" after 5 s, "closed"
   */
  at(kafkaTopic: string, partition: number, time: number): Promise<number> {
    if (this.#closing.aborted) return Promise.reject(new LogError("closed", "The log is closed"));
    const until = performance.now() + PATIENCE_MS;
    return this.#gather({ kafkaTopic, partition, time, until, answer: Promise.withResolvers<number>() });
  }

  #gather(question: Question): Promise<number> {
    const key = `${partitionName(question)}/${question.time}`;
    const same = this.#gathered.get(key);
    if (same === undefined) this.#gathered.set(key, question);
    else same.answer.promise.then(question.answer.resolve, question.answer.reject);
    this.#schedule();
    return question.answer.promise;
  }

  #schedule(): void {
    if (this.#scheduled || this.#gathered.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    const rest = new Map<string, Question>();
    const byLeader = new Map<number, Map<string, Question>>();
    const leaderless: Question[] = [];
    for (const [key, question] of this.#gathered) {
      const leader = this.#cluster.leaderOf(question.kafkaTopic, question.partition);
      if (leader === undefined) {
        leaderless.push(question);
        continue;
      }
      let ofLeader = byLeader.get(leader);
      if (ofLeader === undefined) byLeader.set(leader, ofLeader = new Map());
      // A partition may stand in a request only once, so a second time asked of it waits for the next request.
      const name = partitionName(question);
      if (this.#asking.has(leader) || ofLeader.has(name)) rest.set(key, question);
      else ofLeader.set(name, question);
    }
    this.#gathered = rest;
    for (const [leader, questions] of byLeader) {
      if (!this.#asking.has(leader)) void this.#ask(leader, [...questions.values()]);
    }
    if (leaderless.length > 0) void this.#askAgain(leaderless, "its leader is not known");
  }

  async #ask(leader: number, questions: readonly Question[]): Promise<void> {
    this.#asking.add(leader);
    const failed: Question[] = [];
    let reason = "";
    try {
      const found = await this.#cluster.send(leader, listOffsets(questions));
      const answers = new Map(found.map((answer) => [partitionName(answer), answer]));
      for (const question of questions) {
        const answer = answers.get(partitionName(question));
        if (answer === undefined || isPassingCode(answer.errorCode)) failed.push(question);
        else if (answer.errorCode === CODE.NONE) question.answer.resolve(answer.offset);
        else refuse(question, "unavailable", new KafkaError(answer.errorCode, question.kafkaTopic).message);
      }
    } catch (error) {
      failed.push(...questions);
      reason = (error as Error).message;
    } finally {
      this.#asking.delete(leader);
      this.#schedule();
    }
    if (failed.length > 0) await this.#askAgain(failed, reason || "its leader has moved");
  }

  /** Asks again after a pause, when it is known who leads now. */
  async #askAgain(questions: readonly Question[], reason: string): Promise<void> {
    await pause(PAUSE_MS, this.#closing);
    await this.#cluster.refresh().catch((error: Error) => reason = error.message);
    for (const question of questions) {
      if (this.#closing.aborted) refuse(question, "closed", "the log is closed");
      else if (performance.now() > question.until) refuse(question, "unavailable", reason);
      else void this.#gather(question);
    }
  }
}

function refuse({ kafkaTopic, partition, answer }: Question, code: "closed" | "unavailable", reason: string): void {
  answer.reject(new LogError(code, `Cannot ask for an offset of ${kafkaTopic}, partition ${partition}: ${reason}`));
}
