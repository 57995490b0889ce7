// When lanes that fail may try again: one wheel for all of them, which keeps to the clock also where that is set back.
import type { Lane } from "../lane/lane.ts";
import { TimerWheel } from "./timers.ts";

/** How often the wheel is looked at. */
export const TICK_MS = 20;
/** A clock that goes back by more than this was set back. */
const CLOCK_STEP_MS = 1_000;

export class Pauses {
  readonly #wheel: TimerWheel<Lane>;
  #lastTick: number;

  constructor(now: number) {
    this.#lastTick = now;
    this.#wheel = new TimerWheel(TICK_MS, now);
  }

  /** No attempt of the lane before this time, ms, or before what it waits for already. */
  add(lane: Lane, until: number): void {
    lane.pauseUntil(until);
    this.#wheel.add(lane, lane.health.notBefore);
  }

  /** Lanes whose pause is over, or was: each is to look. */
  due(now: number): Lane[] {
    this.#followClock(now);
    return this.#wheel.due(now);
  }

  /** Where the clock was set back, pauses are as long as they were meant. */
  #followClock(now: number): void {
    const back = this.#lastTick - now;
    this.#lastTick = now;
    if (back < CLOCK_STEP_MS) return;
    const pausing = new Set(this.#wheel.clear());
    this.#wheel.due(now);
    for (const lane of pausing) {
      lane.shortenPause(back);
      this.#wheel.add(lane, lane.health.notBefore);
    }
  }
}
