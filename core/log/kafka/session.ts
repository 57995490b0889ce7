// This process's session in the group: its id there, and until when it may rely on its shards (A3.4).
import { REBALANCE_MS, SESSION_MS } from "./protocol/group-requests.ts";

export class GroupSession {
  /** Empty: not known to the group. */
  memberId = "";
  /** The generation whose assignment is known; −1: none. */
  generation = -1;
  #confirmedAt = -Infinity;
  /** When the last heartbeat was sent that found the group at rest. */
  #atRestAt = -Infinity;

  get isMember(): boolean {
    return this.generation >= 0;
  }

  /** When the last acknowledged request was *sent* that confirms the session, monotonic ms (A3.4). */
  get confirmedAt(): number {
    return this.#confirmedAt;
  }

  /** The group was at rest, and knew this member, after the request was sent. */
  confirm(sentAt: number): void {
    this.#confirmedAt = this.#atRestAt = Math.max(this.#confirmedAt, sentAt);
  }

  /** The group is rebalancing: shards move only after this member has joined, or the rebalance has waited REBALANCE_MS for it. */
  confirmInRebalance(sentAt: number): void {
    if (sentAt + SESSION_MS < this.#atRestAt + REBALANCE_MS) this.#confirmedAt = Math.max(this.#confirmedAt, sentAt);
  }

  /** The group no longer knows this member: it joins as a new one. */
  lose(): void {
    this.memberId = "";
    this.generation = -1;
    this.#confirmedAt = this.#atRestAt = -Infinity;
  }

  /** This process gives its shards up, and is about to tell the group. */
  end(): void {
    this.generation = -1;
    this.#confirmedAt = -Infinity;
  }
}
