// Judges a run by the books of the outside and by the log: the properties of ARCHITECTURE §6, one by one.
import { isDelivered, isRefused } from "../support/load/manner.ts";
import type { Attempt, Books, Pair } from "./books.ts";
import { type Evidence, gather, type Message } from "./evidence.ts";
import type { Broker } from "./kafka/broker.ts";
import { type Account, accountOf, type Life } from "./lives.ts";
import { DEAD_LETTER_ATTEMPTS, type Plan } from "./plan.ts";

export type ViolationKind =
  | "lost"
  | "out of order"
  | "before the start"
  | "after the end"
  | "wrong secret"
  | "forbidden repeat"
  | "a sleeper sends"
  | "stuck"
  | "wrong state"
  | "wrong answer"
  | "altered"
  | "stopped";

export interface Violation {
  readonly kind: ViolationKind;
  readonly what: string;
}

/** §6.5: how long an owner without a fault may take to fold, besides the network's time. */
const FOLD_MS = 1_000;
/** A3.4: an owner sends for this long after its last confirmed heartbeat; a session is 10 s. */
const CONFIRMED_WITHIN_MS = 8_000;
/** §6.5: how long an owner may take to fold after a process died, slept or was cut off. */
const RECOVERY_MS = 15_000;
/** How long the effects of a fault last: new connections, a group that is not complete yet. */
const RIPPLE_MS = 5_000;
/** A leaving owner waits a little longer than this for answers. */
const ANSWERS_WITHIN_MS = 800;
/** A3.1: what was answered this long before a crash is in a checkpoint. */
const CHECKPOINT_MS = 3_000;

export interface Case {
  readonly books: Books;
  readonly broker: Broker;
  readonly plan: Plan;
  /** When the run ended; all faults had been over for long enough. */
  readonly now: number;
}

export function audit(one: Case): Violation[] {
  const violations: Violation[] = [];
  const evidence = gather(one.broker, one.books);
  const say = (kind: ViolationKind, what: string) => void violations.push({ kind, what });
  judgeAnswers(one.books, evidence, say);
  for (const pair of one.books.pairs) {
    const found = evidence.found(pair, (what) => say("wrong state", `${pair.name}: ${what}`));
    const account = accountOf(evidence.told(pair), found);
    judgeState(pair, account, evidence, say);
    judgeAttempts(pair, account, evidence, one, say);
    for (const life of account.lives) judgeLife(pair, life, evidence, one, say);
  }
  for (const what of one.books.wrongAnswers) say("wrong answer", what);
  for (const { core, at, error } of one.books.fatal) say("stopped", `${core} at ${ms(at)}: ${error.message}`);
  for (const error of one.books.uncaught) say("stopped", `nobody caught ${String(error)}`);
  return violations;
}

/** How many messages are still owed to all pairs; a run waits until there are none. */
export function owed(one: Pick<Case, "books" | "broker">): number {
  const evidence = gather(one.broker, one.books);
  let count = 0;
  for (const pair of one.books.pairs) {
    const { lives, phase } = accountOf(evidence.told(pair), evidence.found(pair, () => {}));
    const life = lives.at(-1);
    if (phase === "live" && life !== undefined) count += undone(pair, life, evidence, Infinity, "in the log").length;
  }
  return count;
}

/** What happened to one pair, and the faults meanwhile, line by line in the order of time, for people. */
export function storyOf({ books, broker }: Case, name: string): string[] {
  const evidence = gather(broker, books);
  const pair = books.pairs.find((pair) => pair.name === name);
  if (pair === undefined) return [];
  const found = evidence.found(pair, () => {});
  const lines: [number, string][] = [
    ...books.faults.flatMap(({ kind, from, to }): [number, string][] => [[from, kind], [to, `over: ${kind}`]]),
    ...books.fatal.map(({ core, at, error }): [number, string] => [at, `${core} ends: ${error.message}`]),
    ...evidence.told(pair).map(({ offset, time, event }): [number, string] => [
      time,
      `event ${offset} ${JSON.stringify({ ...event, topic: undefined, callback: undefined })}`,
    ]),
    ...found.map((one): [number, string] => [one.time, `found ${JSON.stringify(one)}`]),
    ...(evidence.messages.get(pair.topic) ?? []).map((one): [number, string] => [
      one.time,
      `message ${one.partition}/${one.offset} ${one.id} "${one.body}"${one.repeat ? " (repeat)" : ""}`,
    ]),
    ...pair.attempts.map((one): [number, string] => [
      one.startedAt,
      `  ${one.offset} by ${one.core} with ${one.secret}: ${one.status ?? "nothing"} at ${
        ms(one.answeredAt ?? Infinity)
      }` +
      `, heard at ${ms(one.heardAt ?? Infinity)}`,
    ]),
  ];
  return lines.toSorted(([a], [b]) => a - b).map(([at, line]) => `${ms(at)} ${line}`);
}

type Say = (kind: ViolationKind, what: string) => void;

/** §6.1: what was answered 2xx is in the log. */
function judgeAnswers(books: Books, evidence: Evidence, say: Say): void {
  for (const { id, what, at } of books.accepted) {
    // A3.9: a deregister is answered when it is in all partitions.
    const isThere = what === "deregister" ? evidence.isEverywhere(id) : evidence.hasEvent(id);
    if (!isThere) say("lost", `${what} ${id}, accepted at ${ms(at)}, is not in the log`);
  }
  for (const { ackedAt, messageId = "", body } of books.published) {
    if (ackedAt === undefined || evidence.hasMessage(messageId, body)) continue;
    say("lost", `"${body}", accepted at ${ms(ackedAt)} as ${messageId}, is not in the log`);
  }
}

/** In the end, the hub's record of a pair agrees with the auditor's account. */
function judgeState(pair: Pair, account: Account, evidence: Evidence, say: Say): void {
  const record = evidence.last(pair);
  const life = account.lives.at(-1);
  const phase = record === undefined
    ? "none"
    : record.phase === "active" || record.phase === "expired"
    ? "live"
    : record.phase;
  // The hub forgets a pair that never verified after a while.
  if (account.phase === "pending" && phase === "none") return;
  const problem = phase !== account.phase
    ? `it is ${phase}, and ought to be ${account.phase}`
    : phase !== "live"
    ? undefined
    : record!.life !== life!.life
    ? `its life began at ${record!.life}, and ought to have at ${life!.life}`
    : record!.start !== life!.start
    ? `it starts at ${record!.start}, and ought to at ${life!.start}`
    : record!.secret !== life!.verified.at(-1)!.secret
    ? `its secret is ${record!.secret}, and ought to be ${life!.verified.at(-1)!.secret}`
    : undefined;
  if (problem !== undefined) say("wrong state", `${pair.name}: ${problem}`);
}

function judgeAttempts(pair: Pair, account: Account, evidence: Evidence, one: Case, say: Say): void {
  const messages = new Map((evidence.messages.get(pair.topic) ?? []).map((message) => [message.offset, message]));
  const letters = evidence.deadLetters(pair);
  const taken = evidence.taken(pair);
  const heard = new Map<number, Attempt>();
  for (const attempt of pair.attempts.toSorted((a, b) => a.startedAt - b.startedAt)) {
    const { offset, secret, startedAt, core } = attempt;
    const name = `${pair.name}: ${offset} from ${core} at ${ms(startedAt)}`;
    const message = messages.get(offset);
    if (message === undefined || message.body !== attempt.body || message.id !== attempt.id) {
      say("altered", `${name} is not what stands there`);
      continue;
    }
    const life = account.lives.find(({ verified }) => verified.some((one) => one.secret === secret));
    const verified = life?.verified.find((one) => one.secret === secret);
    if (life === undefined || verified === undefined) {
      say("wrong secret", `${name} is signed with ${secret ?? "no secret of its own"}, which never verified`);
      continue;
    }
    const next = life.verified[life.verified.indexOf(verified) + 1];
    // The broker's times are whole milliseconds.
    if (startedAt < verified.time - 1) say("wrong secret", `${name} came before ${secret} verified`);
    if (attempt.confirmedAgo > CONFIRMED_WITHIN_MS + slack(one.plan)) {
      say("a sleeper sends", `${name}, unconfirmed for ${Math.round(attempt.confirmedAgo)} ms`);
    }
    // A3.2: a core that takes a shard first folds what stood in the log.
    const took = taken.findLast(({ time }) => time <= startedAt);
    const knew = (time: number) => took !== undefined && took.process === attempt.process && time < took.time;
    if (next !== undefined && (knew(next.time) || startedAt > foldedBy(next.time, one))) {
      say("wrong secret", `${name} is signed with ${secret}, replaced at ${ms(next.time)}`);
    }
    if (life.ended !== undefined && (knew(life.ended.time) || startedAt > foldedBy(life.ended.time, one))) {
      say("after the end", `${name}, ${life.ended.how} at ${ms(life.ended.time)}`);
    }
    if (startedAt >= verified.expiresAt) {
      say("after the end", `${name}, its lease was over at ${ms(verified.expiresAt)}`);
    }
    if (offset < life.start) say("before the start", `${name}, it starts at ${life.start}`);
    if (message.repeat) say("forbidden repeat", `${name} is a repeat of ${message.id}`);
    const before = heard.get(offset);
    const replayed = letters.some((letter) => letter.offset === offset);
    if (
      before !== undefined && lifeOf(account, before) === life && !replayed &&
      !mayRepeat(before, attempt, { ...one, life, taken })
    ) {
      say("forbidden repeat", `${name}, heard by ${before.core} at ${ms(before.heardAt!)}`);
    }
    if (attempt.heardAt !== undefined && isDelivered(attempt.status)) heard.set(offset, attempt);
  }
}

function lifeOf({ lives }: Account, { secret }: Attempt): Life | undefined {
  return lives.find(({ verified }) => verified.some((one) => one.secret === secret));
}

/** §6.2: a message may come again only after a crash or a stop, or if the subscriber asked for it. */
function mayRepeat(
  before: Attempt,
  again: Attempt,
  { life, taken, books, plan }: Case & { life: Life; taken: ReturnType<Evidence["taken"]> },
): boolean {
  // The repeat was under way before the core heard the answer.
  if (again.startedAt < before.heardAt!) return true;
  const resumed = life.moves.some(({ kind, time, to }) =>
    kind === "resume" && to !== undefined && to <= again.offset && time <= again.startedAt &&
    time >= before.startedAt - RECOVERY_MS
  );
  if (resumed) return true;
  // The core writes an answer with its next checkpoint, unless it is dead or cut off by then.
  const written = before.heardAt! + CHECKPOINT_MS + slack(plan);
  const hit = books.faults.some(({ kind, from, to }) =>
    concerns(kind, before.core) && from <= Math.min(written, again.startedAt) && to + RIPPLE_MS >= before.heardAt!
  );
  // A3.3: if its shard moved without a fault, only messages that were not answered in time may repeat. A broken connection is a fault.
  const late = plan.breaks > 0 || before.heardAt! - before.startedAt > ANSWERS_WITHIN_MS;
  return hit || (late && taken.some(({ time }) => time > before.startedAt && time <= again.startedAt));
}

/** Whether a fault is this core's own, or one of the brokers that all cores depend on. */
function concerns(kind: string, core: string): boolean {
  const [what, who] = kind.split(" ");
  return what === "stall" || (who === core && what !== "leave");
}

/** The time that the network of this run may take on top. */
function slack(plan: Plan): number {
  return plan.networkMs * 100 + plan.lagMs * 2 + plan.busyMs * 200 + (plan.breaks > 0 ? 5_000 : 0);
}

/** §6.5: when an owner must have folded what stood in the log at `time`. */
function foldedBy(time: number, { books, plan }: Case): number {
  let by = time + FOLD_MS + slack(plan);
  for (let longer = true; longer;) {
    longer = false;
    for (const { from, to } of books.faults) {
      if (from > by || to + RECOVERY_MS < time || to + RECOVERY_MS + slack(plan) <= by) continue;
      by = to + RECOVERY_MS + slack(plan);
      longer = true;
    }
  }
  return by;
}

/** Judges one life: §6.1, §6.3, and that nothing is still owed. */
function judgeLife(pair: Pair, life: Life, evidence: Evidence, one: Case, say: Say): void {
  const attempts = pair.attempts
    .filter(({ secret }) => life.verified.some((verified) => verified.secret === secret))
    .toSorted((a, b) => a.startedAt - b.startedAt);
  const furthest = Math.max(-1, ...attempts.filter(({ status }) => isDelivered(status)).map(({ offset }) => offset));
  if (life.verified.every(({ concurrency }) => concurrency === 1)) {
    const tried = new Set<number>();
    for (const { offset, startedAt, core } of attempts) {
      if (tried.has(offset)) continue;
      tried.add(offset);
      // A lane goes on at once after it gives a message up; the dead letter is in the log later.
      const before = undone(pair, life, evidence, startedAt, "refused");
      const missing = before.find((message) => message.offset < offset);
      if (missing !== undefined) {
        say(
          "out of order",
          `${pair.name}: ${offset} from ${core} at ${ms(startedAt)}, before ${missing.offset} was done`,
        );
        break;
      }
    }
  }
  // A life that ended is owed nothing. Undelivered messages before the furthest delivered one were skipped.
  const ended = life.ended !== undefined;
  const over = life.verified.at(-1)!.expiresAt <= one.now;
  const concurrent = life.verified.some(({ concurrency }) => concurrency > 1);
  for (const { offset, time } of undone(pair, life, evidence, Infinity, ended || over ? "refused" : "in the log")) {
    if (offset < furthest && !(concurrent && ended)) {
      say("lost", `${pair.name}: ${offset} of ${ms(time)} was passed over, ${furthest} was done`);
    } else if (!ended && !over) {
      say("stuck", `${pair.name}: ${offset} of ${ms(time)} never came, life from ${ms(life.began)}`);
    }
  }
}

/** The messages of a life that were not done by a time: not delivered, given up, acknowledged or passed by a resume. */
function undone(pair: Pair, life: Life, evidence: Evidence, by: number, givenUp: "in the log" | "refused"): Message[] {
  const done = new Set<number>();
  const refusals = new Map<number, number>();
  for (const attempt of pair.attempts) {
    const { offset, answeredAt = Infinity, secret, status } = attempt;
    if (answeredAt > by || !life.verified.some((verified) => verified.secret === secret)) continue;
    if (isDelivered(status)) done.add(offset);
    if (!isRefused(status) || givenUp === "in the log") continue;
    const count = (refusals.get(offset) ?? 0) + 1;
    refusals.set(offset, count);
    if (count >= DEAD_LETTER_ATTEMPTS) done.add(offset);
  }
  const letters = new Set(evidence.deadLetters(pair).map(({ offset }) => offset));
  const passed = Math.max(-1, ...life.moves.filter(({ time }) => time <= by + 1).map(({ to = -1 }) => to));
  return (evidence.messages.get(pair.topic) ?? []).filter(({ offset, repeat }) =>
    !repeat && offset >= Math.max(life.start, passed) && !done.has(offset) && !letters.has(offset)
  );
}

function ms(at: number): string {
  return Number.isFinite(at) ? String(Math.round(at % 1e7)) : "…";
}
