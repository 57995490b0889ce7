// All limits of the edge in one place: made of the settings, counted in one metric. What a runtime's server refuses itself
// (connections, headers, deadlines) is counted here too.

import type { Metrics } from "../../shared/metrics.ts";
import type { Exchange, ServerLimit } from "../../shared/serve.ts";
import { clientKeyOf } from "../../shared/client-key.ts";
import type { ClientIdentity } from "../../shared/core-api.ts";
import type { Claim } from "../../shared/shares/standing.ts";
import { sentence } from "../answers/answers.ts";
import { HubError } from "../answers/hub-error.ts";
import { createAddressLimit } from "./address-limit.ts";
import { type Bodies, type BodyPatience, createBodies } from "./bodies.ts";
import { claimOf } from "./claim.ts";
import { clientAddress, isTrusted, namedAddress, parseNetworks } from "./client-address.ts";
import { createHostBudget } from "./host-budget.ts";
import type { HostBudget } from "./host-budget.ts";
import { type MemoryBounds, PROCESS_MEMORY } from "./memory.ts";
import { createPressure } from "./pressure.ts";
import type { Pressure } from "./pressure.ts";
import { createRateLimit } from "./rate-limit.ts";

export interface LimitSettings {
  /** CIDRs. */
  readonly trustedProxies: readonly string[];
  /** The header in which the platform in front names the client's address. */
  readonly addressHeader?: string | undefined;
  /** Requests a second; 0: no limit. */
  readonly requestsPerAddress: number;
  readonly requestsPerClient: number;
  /** Unconfirmed intents a minute; 0: no limit. */
  readonly verificationsPerHost: number;
  readonly overloadAfterMs: number;
  /** The longest path and query, as sent. */
  readonly urlMaxBytes: number;
  /** The longest message. */
  readonly messageMaxBytes: number;
}

export interface Limits {
  /**
   * 414 if the URL is too long, 429 if the request's address is over its limit, 503 if the core is behind, else null. It runs
   * before a byte of a body is read, so it must cost little. `limit` is that of the route that answers the request.
   */
  refusal(request: Request, exchange: Exchange, limit?: RouteLimit): Response | null;
  /** The address that a request came from, as a limit's key (`clientAddress`); undefined where nothing tells it. */
  addressOf(request: Pick<Request, "headers">, exchange: Exchange): string | undefined;
  /** Counts one request of a token's client against its limit, all routes together. @throws {HubError} "too_many" */
  admitClient(client: ClientIdentity, route: ClientRoute): void;
  /**
   * Counts each topic of a ping as a request of who sent it: its token's client, else its address. The first one counts as the request itself.
   * @throws {HubError} "too_many"
   */
  admitTopics(
    sender: { readonly client?: ClientIdentity | undefined; readonly address: string | undefined },
    topics: number,
  ): void;
  /** Whose share of what the edge has a request takes: its client's, if it is known, else its address's. */
  claimOf(request: Pick<Request, "headers">, exchange: Exchange, client?: ClientIdentity): Claim;
  /** Whose share a connection of this peer takes; undefined for one of our own proxies, whose clients share it. */
  connectionClaim(address: string | undefined): Claim | undefined;
  readonly bodies: Bodies;
  /** The budgets of callback hosts, in intents. */
  readonly verifications: HostBudget;
  readonly pressure: Pressure;
  /** Counts a request that was refused by the limit of this name. */
  readonly count: (
    limit: ServerLimit | "url" | "address" | ClientRoute | "verifications" | "overload" | OwnLimit,
  ) => void;
}

/** Limits that a handler finds reached. */
export type OwnLimit = "bodies" | "pace";

/** Where a client went over its limit: the hub endpoint, what is read of a subscription, its events, what moves it. */
export type ClientRoute = "client" | "client_reads" | "client_events" | "client_moves";

/**
 * Which limits a route has, beside that of the URL. `address`: requests of one address; `load`: that, and 503 while the core is behind;
 * `probe`: none, since probes often share one address (WIRE §8), and their answers cost next to nothing.
 */
export type RouteLimit = "address" | "load" | "probe";

/** What a 503 says under overload. */
export const OVERLOADED = "The hub has more to do than it can in time; send it again a little later.";
/** A refused connection rests so long, ms: clients that repeat at once must not take the time of accepted requests. */
const REST_MS = 1_000;

export interface LimitsOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** How long this process itself has been late in all, ms. Default always 0. */
  readonly busyMs?: (() => number) | undefined;
  /** Default a process's. */
  readonly memory?: MemoryBounds | undefined;
  readonly bodyPatience?: BodyPatience | undefined;
}

export function createLimits(
  settings: LimitSettings,
  metrics: Metrics,
  { now, busyMs = () => 0, memory = PROCESS_MEMORY, bodyPatience }: LimitsOptions,
): Limits {
  const { addressHeader } = settings;
  const trusted = parseNetworks(settings.trustedProxies);
  const perAddress = createAddressLimit({ perSecond: settings.requestsPerAddress, now, mostKeys: memory.keys });
  const perClient = createRateLimit({ perSecond: settings.requestsPerClient, now, mostKeys: memory.keys });
  const pressure = createPressure({ targetMs: settings.overloadAfterMs, now, busyMs, lostAfterMs: memory.lostAfterMs });
  const limited = metrics.counter("tidings_limited_total", "Requests that a limit refused, by limit", ["limit"]);
  metrics.gauge(
    "tidings_core_requests",
    "Requests of clients that wait for the core",
    [],
    (gauge) => gauge.set(pressure.inFlight),
  );
  metrics.gauge(
    "tidings_core_requests_limit",
    "How many may wait at once before the rest is answered 503",
    [],
    (gauge) => gauge.set(pressure.limit),
  );
  const count: Limits["count"] = (limit) => limited.inc({ limit });

  const addressOf: Limits["addressOf"] = ({ headers }, { address }) =>
    addressHeader === undefined
      ? clientAddress(address, headers.get("x-forwarded-for"), trusted)
      : namedAddress(address, headers.get(addressHeader), trusted);

  /** A proxy's connection does not rest, since other clients share it. */
  const letRest = ({ address, rest }: Exchange) => {
    if (!isTrusted(address, trusted)) rest?.(REST_MS);
  };

  return {
    claimOf: (request, exchange, client) => claimOf(client, addressOf(request, exchange)),
    connectionClaim: (address) =>
      isTrusted(address, trusted) ? undefined : claimOf(undefined, clientAddress(address, null, [])),
    bodies: createBodies({
      memory,
      messageMaxBytes: settings.messageMaxBytes,
      now,
      count,
      patience: bodyPatience,
    }),
    verifications: createHostBudget({ places: settings.verificationsPerHost, now, mostHosts: memory.keys }),
    pressure,
    count,
    addressOf,
    admitClient: (client, route) => {
      const retryAfterS = perClient.take(clientKeyOf(client));
      if (retryAfterS === 0) return;
      count(route);
      throw new HubError(
        "too_many",
        `This client sends more than ${settings.requestsPerClient} requests a second; send fewer.`,
        { retryAfterS },
      );
    },
    admitTopics: ({ client, address }, topics) => {
      const [limit, key] = client === undefined ? [perAddress, address] : [perClient, clientKeyOf(client)];
      const retryAfterS = key === undefined || topics < 2 ? 0 : limit.take(key, topics - 1);
      if (retryAfterS === 0) return;
      count(client === undefined ? "address" : "client");
      const [who, most] = client === undefined
        ? ["address", settings.requestsPerAddress]
        : ["client", settings.requestsPerClient];
      throw new HubError(
        "too_many",
        `This ${who} sends more than ${most} requests a second, as each topic of a ping counts; send fewer.`,
        { retryAfterS },
      );
    },
    refusal: (request, exchange, limit = "address") => {
      const { target = request.url } = exchange;
      if (target.length > settings.urlMaxBytes) {
        count("url");
        return sentence(414, `The URL is longer than ${settings.urlMaxBytes} bytes; send parameters in a form.`);
      }
      if (limit === "load" && pressure.isFull(() => claimOf(undefined, addressOf(request, exchange)).requester)) {
        count("overload");
        letRest(exchange);
        return sentence(503, OVERLOADED, { "retry-after": "5" });
      }
      if (settings.requestsPerAddress === 0 || limit === "probe") return null;
      const key = addressOf(request, exchange);
      const waitS = key === undefined ? 0 : perAddress.take(key);
      if (waitS === 0) return null;
      count("address");
      letRest(exchange);
      const most = settings.requestsPerAddress;
      return sentence(429, `This address sends more than ${most} requests a second; send fewer.`, {
        "retry-after": String(waitS),
      });
    },
  };
}
