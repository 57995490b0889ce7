// Which settings of keys and TLS go together, and what may not leave loopback without them (ARCHITECTURE §5).
import { isLoopback, type Listen } from "./settings-values.ts";

export interface TransportSettings {
  readonly coreListen: Listen;
  readonly coreUrl: readonly string[];
  readonly edgeKey: string | undefined;
  readonly edgeKeys: string | undefined;
  readonly coreTlsCert: string | undefined;
  readonly coreTlsKey: string | undefined;
  readonly coreClientCa: string | undefined;
  readonly edgeTlsCert: string | undefined;
  readonly edgeTlsKey: string | undefined;
}

/** What is wrong, as a sentence that says what to set; undefined if nothing is. `isSet` tells what was not left to its default. */
export function transportProblem(settings: TransportSettings, isSet: (name: string) => boolean): string | undefined {
  for (
    const [tier, cert, key] of [
      ["CORE", settings.coreTlsCert, settings.coreTlsKey],
      ["EDGE", settings.edgeTlsCert, settings.edgeTlsKey],
    ] as const
  ) {
    if ((cert === undefined) !== (key === undefined)) {
      return `TIDINGS_${tier}_TLS_CERT and TIDINGS_${tier}_TLS_KEY go together: set both, or neither`;
    }
  }
  if (settings.coreClientCa !== undefined && settings.coreTlsCert === undefined) {
    return "TIDINGS_CORE_CLIENT_CA is set, so TIDINGS_CORE_TLS_CERT and TIDINGS_CORE_TLS_KEY must be set, too";
  }
  const { host } = settings.coreListen;
  if (!isLoopback(host)) {
    if (settings.coreTlsCert === undefined) {
      return `TIDINGS_CORE_LISTEN "${host}" is not on loopback, so TIDINGS_CORE_TLS_CERT and TIDINGS_CORE_TLS_KEY must be set`;
    }
    if (settings.edgeKeys === undefined) {
      return `TIDINGS_CORE_LISTEN "${host}" is not on loopback, so TIDINGS_EDGE_KEYS must say which edges it answers`;
    }
  }
  if (!isSet("CORE_URL")) return undefined;
  const aways = settings.coreUrl.filter((url) => !isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, "")));
  const plain = aways.find((url) => !/^https:/i.test(url));
  if (plain !== undefined) return `TIDINGS_CORE_URL "${plain}" is not on loopback, so it must be https`;
  const [away] = aways;
  if (away === undefined) return undefined;
  if (settings.edgeKey === undefined) {
    return `TIDINGS_CORE_URL "${away}" is not on loopback, so TIDINGS_EDGE_KEY must be set, and its public half stand in the core's TIDINGS_EDGE_KEYS`;
  }
  return undefined;
}
