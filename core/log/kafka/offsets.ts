// Questions about offsets: where a partition starts and ends, and what stands there at a time. All of the same moment are one
// request to each leader, and while that is on its way the next ones gather (A3.6, A3.11).
import { pause } from "../../../shared/pause.ts";
import { LogError } from "../log.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { CODE, isPassingCode, KafkaError } from "./protocol/kafka-error.ts";
import { listOffsets } from "./protocol/topic-requests.ts";

export interface Offsets {
  /**
   * The offset of the first record at or after `time` (ms), −1 if there is none; or of `START` or `END`, the last stable offset.
   * @throws {LogError} "unavailable", "closed"
   */
  at(kafkaTopic: string, partition: number, time: number): Promise<number>;
}

interface Question {
  readonly kafkaTopic: string;
  readonly partition: number;
  readonly time: number;
  readonly until: number;
  readonly answer: PromiseWithResolvers<number>;
}

const PATIENCE_MS = 5_000;
const PAUSE_MS = 50;

export function createOffsets(cluster: Cluster, closing: AbortSignal): Offsets {
  let gathered = new Map<string, Question>();
  const asking = new Set<number>();
  let scheduled = false;

  closing.addEventListener("abort", () => {
    for (const question of gathered.values()) refuse(question, "closed", "the log is closed");
    gathered.clear();
  });

  function schedule(): void {
    if (scheduled || gathered.size === 0) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      send();
    });
  }

  function send(): void {
    const rest = new Map<string, Question>();
    const byLeader = new Map<number, Map<string, Question>>();
    const homeless: Question[] = [];
    for (const [name, question] of gathered) {
      const leader = cluster.leaderOf(question.kafkaTopic, question.partition);
      if (leader === undefined) {
        homeless.push(question);
        continue;
      }
      let ofLeader = byLeader.get(leader);
      if (ofLeader === undefined) byLeader.set(leader, ofLeader = new Map());
      // A partition may stand in a request only once, so a second time asked of it waits for the next request.
      const place = `${question.kafkaTopic}/${question.partition}`;
      if (asking.has(leader) || ofLeader.has(place)) rest.set(name, question);
      else ofLeader.set(place, question);
    }
    gathered = rest;
    for (const [leader, questions] of byLeader) {
      if (!asking.has(leader)) void ask(leader, [...questions.values()]);
    }
    if (homeless.length > 0) void again(homeless, "its leader is not known");
  }

  async function ask(leader: number, questions: readonly Question[]): Promise<void> {
    asking.add(leader);
    const failed: Question[] = [];
    let reason = "";
    try {
      const found = await cluster.send(leader, listOffsets(questions));
      const answers = new Map(found.map((answer) => [`${answer.kafkaTopic}/${answer.partition}`, answer]));
      for (const question of questions) {
        const answer = answers.get(`${question.kafkaTopic}/${question.partition}`);
        if (answer === undefined || isPassingCode(answer.errorCode)) failed.push(question);
        else if (answer.errorCode === CODE.NONE) question.answer.resolve(answer.offset);
        else refuse(question, "unavailable", new KafkaError(answer.errorCode, question.kafkaTopic).message);
      }
    } catch (error) {
      failed.push(...questions);
      reason = (error as Error).message;
    } finally {
      asking.delete(leader);
      schedule();
    }
    if (failed.length > 0) await again(failed, reason || "its leader has moved");
  }

  /** After a pause and a look at who leads now. */
  async function again(questions: readonly Question[], reason: string): Promise<void> {
    await pause(PAUSE_MS, closing);
    await cluster.refresh().catch((error: Error) => reason = error.message);
    for (const question of questions) {
      if (closing.aborted) refuse(question, "closed", "the log is closed");
      else if (performance.now() > question.until) refuse(question, "unavailable", reason);
      else void gather(question);
    }
  }

  function gather(question: Question): Promise<number> {
    const name = `${question.kafkaTopic}/${question.partition}/${question.time}`;
    const same = gathered.get(name);
    if (same === undefined) gathered.set(name, question);
    else same.answer.promise.then(question.answer.resolve, question.answer.reject);
    schedule();
    return question.answer.promise;
  }

  return {
    at(kafkaTopic, partition, time) {
      if (closing.aborted) return Promise.reject(new LogError("closed", "The log is closed"));
      const question = {
        kafkaTopic,
        partition,
        time,
        until: performance.now() + PATIENCE_MS,
        answer: Promise.withResolvers<number>(),
      };
      return gather(question);
    },
  };
}

function refuse({ kafkaTopic, partition, answer }: Question, code: "closed" | "unavailable", reason: string): void {
  answer.reject(new LogError(code, `Cannot ask for an offset of ${kafkaTopic}, partition ${partition}: ${reason}`));
}
