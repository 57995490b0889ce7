// A lane's health: its failures in a row and its pause. Lanes that are well share one object (ARCHITECTURE §4).
import type { LaneHealth } from "../../state/records.ts";
import { type Repeat, type Tried, triesOf } from "./backlog.ts";

export interface Health {
  /** Attempts in a row that failed. */
  failures: number;
  /** When the first of them failed, ms since 1970; 0: the lane is not failing. */
  failingSince: number;
  /** Empty: nothing failed since the lane was well. */
  lastError: string;
  /** No attempt starts before this time while the lane backs off or is parked, ms since 1970. */
  notBefore: number;
  /** The last attempt failed or was slow: such lanes share a bounded part of the limits (sending/limits.ts). */
  isSuspect: boolean;
  /** The message that failed last. */
  failed: Tried | undefined;
}

const createHealth = (): Health => ({
  failures: 0,
  failingSince: 0,
  lastError: "",
  notBefore: 0,
  isSuspect: false,
  failed: undefined,
});

/** Shared by all lanes that are well; never written to. */
export const WELL: Health = Object.freeze(createHealth());

/** The health with one thing changed: the lane's own object, or the shared one if the lane is well again. */
export function changed<Name extends keyof Health>(health: Health, name: Name, value: Health[Name]): Health {
  if (health[name] === value) return health;
  const own = health === WELL ? createHealth() : health;
  own[name] = value;
  return value === WELL[name] && isWell(own) ? WELL : own;
}

function isWell({ failures, failingSince, lastError, notBefore, isSuspect, failed }: Health): boolean {
  return failures === 0 && failingSince === 0 && lastError === "" && notBefore === 0 && !isSuspect &&
    failed === undefined;
}

/** The health after an attempt that failed at `now`, ms since 1970. */
export function afterFailure(health: Health, repeat: Repeat, reason: string, now: number) {
  const own = health === WELL ? createHealth() : health;
  own.failures++;
  if (own.failingSince === 0) own.failingSince = now;
  own.lastError = reason;
  own.isSuspect = true;
  own.failed = { offset: repeat.message.offset, id: repeat.message.id, ...triesOf(repeat) };
  return own;
}

/** The health after a success: earlier failures no longer count. A pause is left to its end. */
export function recovered(health: Health): Health {
  if (health === WELL) return health;
  health.failures = 0;
  health.failingSince = 0;
  health.lastError = "";
  health.isSuspect = false;
  return isWell(health) ? WELL : health;
}

/** What the lane's record says of its health; undefined if the lane is not failing, and no message of it has failed. */
export function encodeHealth(health: Health, isParked: boolean): LaneHealth | undefined {
  const { failures, failingSince, lastError, failed } = health;
  // After a resume the failures are forgotten, and the tries of the message are not.
  if (failures === 0 && failed === undefined) return undefined;
  return { ...(isParked ? { parked: true } : {}), failingSince, failures, lastError, ...failed ?? NOTHING_FAILED };
}

export function decodeHealth({ failures, failingSince, lastError, ...rest }: LaneHealth): Health {
  return { failures, failingSince, lastError, notBefore: 0, isSuspect: failures > 0, failed: failedOf(rest) };
}

/** Cores before this one wrote neither the message's id nor how often it was answered 5xx and 500. */
function failedOf({ offset, id = "", attempts, refusals, answered5xx = 0, answered500 = 0, firstAt }: FailedMessage) {
  return offset >= 0 ? { offset, id, attempts, refusals, answered5xx, answered500, firstAt } : undefined;
}

type FailedMessage = Omit<LaneHealth, "failures" | "failingSince" | "lastError">;

const NOTHING_FAILED: FailedMessage = { offset: -1, attempts: 0, refusals: 0, firstAt: 0 };
