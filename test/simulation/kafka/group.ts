// A consumer group as its coordinator keeps it. A rebalance begins when a member joins, leaves, or is silent for its whole session. It
// ends when all members have joined again, or after the longest rebalance timeout; members that have not joined by then are removed.
import type { Machine, Task } from "../time/machine.ts";
import type { Asked } from "./requests.ts";

type Respond = (answer: unknown) => void;

interface Member {
  readonly id: string;
  metadata: Buffer;
  readonly sessionMs: number;
  readonly rebalanceMs: number;
  assignment: Buffer;
  join: Respond | undefined;
  sync: Respond | undefined;
  session: Task | undefined;
}

const CODE = {
  none: 0,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  memberIdRequired: 79,
} as const;
const NOTHING = Buffer.alloc(0);
/** A broker waits for more members before the first generation; by default 3 s, in which nothing happens. */
const FIRST_DELAY_MS = 500;

export class Group {
  readonly #machine: Machine;
  /** The coordinator does nothing until then. */
  readonly #stalledUntil: () => number;
  readonly #members = new Map<string, Member>();
  /** Member ids that were given out and have not joined yet. */
  readonly #promised = new Set<string>();
  #state: "empty" | "preparing" | "completing" | "stable" = "empty";
  #generation = 0;
  #leader = "";
  #ids = 0;
  #waits: Task | undefined;
  #mayComplete = true;

  constructor(machine: Machine, stalledUntil: () => number) {
    this.#machine = machine;
    this.#stalledUntil = stalledUntil;
  }

  join(asked: Asked & { name: "JoinGroup" }, respond: Respond): void {
    const { memberId, metadata, sessionMs, rebalanceMs } = asked;
    const refuse = (errorCode: number, id = memberId) =>
      respond({ errorCode, generation: -1, leaderId: "", memberId: id, members: [] });
    if (memberId === "") {
      const id = `member-${++this.#ids}`;
      this.#promised.add(id);
      return refuse(CODE.memberIdRequired, id);
    }
    let member = this.#members.get(memberId);
    if (member === undefined) {
      if (!this.#promised.delete(memberId)) return refuse(CODE.unknownMember);
      member = {
        id: memberId,
        metadata,
        sessionMs,
        rebalanceMs,
        assignment: NOTHING,
        join: undefined,
        sync: undefined,
        session: undefined,
      };
      this.#members.set(memberId, member);
    } else if (
      this.#state === "stable" && memberId !== this.#leader && member.metadata.equals(metadata)
    ) {
      // Nothing is new, so it gets the same answer again.
      return respond(this.#joined(member));
    }
    member.metadata = metadata;
    // An earlier join of the same member, on a connection that it has given up.
    member.join?.({ errorCode: CODE.unknownMember, generation: -1, leaderId: "", memberId, members: [] });
    member.join = respond;
    this.#heard(member);
    if (this.#state !== "preparing") this.#prepare();
    this.#completeIfAllJoined();
  }

  sync(asked: Asked & { name: "SyncGroup" }, respond: Respond): void {
    const member = this.#members.get(asked.memberId);
    const refuse = (errorCode: number) => respond({ errorCode, assignment: NOTHING });
    if (member === undefined) return refuse(CODE.unknownMember);
    if (asked.generation !== this.#generation) return refuse(CODE.illegalGeneration);
    this.#heard(member);
    if (this.#state === "preparing") return refuse(CODE.rebalanceInProgress);
    if (this.#state === "stable") return respond({ errorCode: CODE.none, assignment: member.assignment });
    member.sync = respond;
    if (asked.memberId !== this.#leader) return;
    this.#state = "stable";
    for (const one of this.#members.values()) {
      one.assignment = asked.assignments.find(({ memberId }) => memberId === one.id)?.assignment ?? NOTHING;
      const answer = one.sync;
      one.sync = undefined;
      if (answer === undefined) continue;
      answer({ errorCode: CODE.none, assignment: one.assignment });
      this.#heard(one);
    }
  }

  heartbeat(asked: Asked & { name: "Heartbeat" }): number {
    const member = this.#members.get(asked.memberId);
    if (member === undefined) return CODE.unknownMember;
    if (asked.generation !== this.#generation) return CODE.illegalGeneration;
    this.#heard(member);
    return this.#state === "preparing" ? CODE.rebalanceInProgress : CODE.none;
  }

  leave(memberId: string): number {
    this.#promised.delete(memberId);
    const member = this.#members.get(memberId);
    if (member === undefined) return CODE.unknownMember;
    this.#remove(member);
    return CODE.none;
  }

  #heard(member: Member): void {
    if (member.session !== undefined) member.session.cancelled = true;
    const look = () => {
      const stalledUntil = this.#stalledUntil();
      if (stalledUntil > this.#machine.now) {
        member.session = this.#machine.at(stalledUntil, undefined, "session", look);
      } else if (member.join !== undefined || member.sync !== undefined) this.#heard(member);
      else this.#remove(member);
    };
    member.session = this.#machine.after(member.sessionMs, undefined, "session", look);
  }

  #remove(member: Member): void {
    if (member.session !== undefined) member.session.cancelled = true;
    if (!this.#members.delete(member.id)) return;
    member.join?.({ errorCode: CODE.unknownMember, generation: -1, leaderId: "", memberId: member.id, members: [] });
    member.sync?.({ errorCode: CODE.unknownMember, assignment: NOTHING });
    if (this.#state === "preparing") this.#completeIfAllJoined();
    else this.#prepare();
  }

  #prepare(): void {
    const first = this.#state === "empty";
    this.#state = "preparing";
    for (const member of this.#members.values()) {
      const answer = member.sync;
      member.sync = undefined;
      answer?.({ errorCode: CODE.rebalanceInProgress, assignment: NOTHING });
    }
    if (this.#waits !== undefined) this.#waits.cancelled = true;
    this.#mayComplete = !first;
    const longest = Math.max(0, ...[...this.#members.values()].map(({ rebalanceMs }) => rebalanceMs));
    this.#waits = this.#machine.after(first ? FIRST_DELAY_MS : longest, undefined, "rebalance", () => {
      this.#mayComplete = true;
      this.#complete();
    });
    this.#completeIfAllJoined();
  }

  #completeIfAllJoined(): void {
    if (this.#state !== "preparing" || !this.#mayComplete) return;
    for (const { join } of this.#members.values()) if (join === undefined) return;
    this.#complete();
  }

  #complete(): void {
    if (this.#waits !== undefined) this.#waits.cancelled = true;
    for (const member of this.#members.values()) {
      if (member.join !== undefined) continue;
      if (member.session !== undefined) member.session.cancelled = true;
      this.#members.delete(member.id);
    }
    this.#generation++;
    const [first] = this.#members.keys();
    if (first === undefined) {
      this.#state = "empty";
      return;
    }
    if (!this.#members.has(this.#leader)) this.#leader = first;
    this.#state = "completing";
    for (const member of this.#members.values()) {
      const answer = member.join!;
      member.join = undefined;
      answer(this.#joined(member));
      this.#heard(member);
    }
  }

  #joined({ id }: Member) {
    const members = id !== this.#leader
      ? []
      : [...this.#members.values()].map((one) => ({ memberId: one.id, subscription: one.metadata }));
    return { errorCode: CODE.none, generation: this.#generation, leaderId: this.#leader, memberId: id, members };
  }
}
