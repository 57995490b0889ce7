// The operating listener of a tier (WIRE §8): a server of its own, so that what operators ask is not on a port that strangers reach.
import { getLogger } from "@logtape/logtape";
import type { ServeOptions } from "../serve.ts";
import { PREFIX } from "../settings/settings.ts";
import { isLoopback, type Listen } from "../settings/values.ts";
import { serve } from "./serve.ts";

export interface OperatingListener {
  /** http://host:port; undefined if there is no such listener. */
  readonly url: string | undefined;
  close(): Promise<void>;
}

type WriteLine = (message: string, properties: Record<string, unknown>) => void;
interface LineLogger {
  readonly info: WriteLine;
  readonly warn: WriteLine;
}

/** Probes and scrapers take a few; more are closed. */
const MOST_CONNECTIONS = 100;

/** Serves a tier's operating app at `listen`; undefined: nowhere. @throws {Error} a sentence that names the setting */
export async function serveOperating(
  tier: "edge" | "core",
  fetch: ServeOptions["fetch"],
  listen: Listen | undefined,
  logger: LineLogger = getLogger(["tidings", tier, "process"]),
): Promise<OperatingListener> {
  if (listen === undefined) return { url: undefined, close: () => Promise.resolve() };
  const by = `${PREFIX}${tier.toUpperCase()}_OPERATING_LISTEN`;
  const { host: hostname, port } = listen;
  const served = await serve({ fetch, hostname, port, by, maxConnections: MOST_CONNECTIONS });
  logger.info("Operators are answered at {url}", { url: served.url });
  if (!isLoopback(hostname)) {
    logger.warn("{setting} is not on loopback: {url} has neither TLS nor sign-in, so keep strangers from it", {
      setting: by,
      url: served.url,
    });
  }
  // What it answers is short, and nothing is lost with it.
  return { url: served.url, close: () => served.close(0) };
}
