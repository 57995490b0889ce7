// A lane's health: its failures in a row and its pause. Lanes that are well share one object, new ones another (ARCHITECTURE §4).
import type { Standing } from "../../../shared/shares/standing.ts";
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
  /** In whose places its attempts are (sending/places.ts). Only an answer changes it: neither a renewal nor a resume does. */
  standing: Standing;
  /** Attempts that failed since the last success; a resume does not forget them. */
  strikes: number;
  /** The message that failed last. */
  failed: Tried | undefined;
}

const createHealth = (standing: Standing): Health => ({
  failures: 0,
  failingSince: 0,
  lastError: "",
  notBefore: 0,
  standing,
  strikes: 0,
  failed: undefined,
});

/** Shared by all lanes that are well; never written to. */
export const WELL: Health = Object.freeze(createHealth("proven"));
/** Shared by all lanes that have not delivered yet, and of which nothing failed; never written to. */
export const UNTRIED: Health = Object.freeze(createHealth("new"));

/** The health with one thing changed: the lane's own object, or a shared one if nothing else is to be told of it. */
export function changed<Name extends keyof Health>(health: Health, name: Name, value: Health[Name]): Health {
  if (health[name] === value) return health;
  const own = ownOf(health);
  own[name] = value;
  return sharedIfQuiet(own);
}

function ownOf(health: Health): Health {
  return health === WELL || health === UNTRIED ? { ...health } : health;
}

function sharedIfQuiet(own: Health): Health {
  const { failures, failingSince, lastError, notBefore, standing, strikes, failed } = own;
  const isQuiet = failures === 0 && failingSince === 0 && lastError === "" && notBefore === 0 && strikes === 0 &&
    failed === undefined;
  if (!isQuiet) return own;
  return standing === "proven" ? WELL : standing === "new" ? UNTRIED : own;
}

/** The health with one failure more since the last success. */
export function struck(health: Health): Health {
  const own = ownOf(health);
  own.strikes++;
  own.standing = standingAfter(own.strikes);
  return own;
}

/** One failure may be a restart of the subscriber; two are a subscriber that fails. */
function standingAfter(strikes: number): Standing {
  return strikes > 1 ? "failing" : "new";
}

/** The health after a success. `isSlow`: it took long. `isRepeating`: another message of the lane waits to be sent again. */
export function succeeded(health: Health, isSlow: boolean, isRepeating: boolean): Health {
  const strikes = isRepeating ? 1 : 0;
  const standing = isRepeating ? standingAfter(strikes) : isSlow ? "slow" : "proven";
  if (health.standing === standing && health.strikes === strikes) return health;
  const own = ownOf(health);
  own.strikes = strikes;
  own.standing = standing;
  return sharedIfQuiet(own);
}

/** The health after an attempt that failed at `now`, ms since 1970. */
export function afterFailure(health: Health, repeat: Repeat, reason: string, now: number) {
  const own = struck(health);
  own.failures++;
  if (own.failingSince === 0) own.failingSince = now;
  own.lastError = reason;
  own.failed = { offset: repeat.message.offset, id: repeat.message.id, ...triesOf(repeat) };
  return own;
}

/** The health after a success or a resume: earlier failures are forgotten, but for the standing. A pause is left to its end. */
export function recovered(health: Health): Health {
  if (health === WELL || health === UNTRIED) return health;
  health.failures = 0;
  health.failingSince = 0;
  health.lastError = "";
  return sharedIfQuiet(health);
}

/** What the lane's record says of its health; undefined if the lane is not failing, and no message of it has failed. */
export function encodeHealth(health: Health, isParked: boolean): LaneHealth | undefined {
  const { failures, failingSince, lastError, failed } = health;
  // After a resume the failures are forgotten, and the tries of the message are not.
  if (failures === 0 && failed === undefined) return undefined;
  return { ...(isParked ? { parked: true } : {}), failingSince, failures, lastError, ...failed ?? NOTHING_FAILED };
}

export function decodeHealth({ failures, failingSince, lastError, ...rest }: LaneHealth): Health {
  // A resume may have forgotten failures of the message that failed last.
  const strikes = Math.max(1, failures);
  const standing = standingAfter(strikes);
  return { failures, failingSince, lastError, notBefore: 0, standing, strikes, failed: failedOf(rest) };
}

/** Cores before this one wrote neither the message's id nor how often it was answered 5xx and 500. */
function failedOf({ offset, id = "", attempts, refusals, answered5xx = 0, answered500 = 0, firstAt }: FailedMessage) {
  return offset >= 0 ? { offset, id, attempts, refusals, answered5xx, answered500, firstAt } : undefined;
}

type FailedMessage = Omit<LaneHealth, "failures" | "failingSince" | "lastError">;

const NOTHING_FAILED: FailedMessage = { offset: -1, attempts: 0, refusals: 0, firstAt: 0 };
