// Settings of keys and TLS: which go together, and what may not leave loopback without them (ARCHITECTURE §5).
import type { PLACE_ROWS } from "./places.ts";
import { row, type ValuesOf } from "./row.ts";
import { file, isLoopback, isLoopbackUrl, keys } from "./values.ts";

export const TRANSPORT_ROWS = {
  edgeKey: row<string | undefined>({
    name: "EDGE_KEY",
    default: null,
    what:
      "The edge's private key: an Ed25519 JWK, or the path of a file with it. Unset: `edge-key.json` in the data directory, made at the first start. Never printed.",
    change: "For an edge that is started by itself; its public half stands in the cores' `TIDINGS_EDGE_KEYS`.",
    value: keys("a JWK"),
    secret: true,
  }),
  edgeKeys: row<string | undefined>({
    name: "EDGE_KEYS",
    default: null,
    what:
      "The edges that the core answers: a JWKS of their public keys, or the path of a file with it. Unset: the one of this data directory.",
    change: "If edges run elsewhere, or there are several.",
    value: keys("a JWKS"),
  }),
  coreKeys: row<string | undefined>({
    name: "CORE_KEYS",
    default: null,
    what:
      "The keys that secrets are sealed to: a JWKS of X25519 private keys, or the path of a file with it. The first key seals, every key opens. The same for all cores. Unset: `core-keys.json` in the data directory, made at the first start. Never printed.",
    change: "If several cores share the subscriptions, or your platform keeps secrets itself.",
    value: keys("a JWKS"),
    secret: true,
  }),
  coreTlsCert: row<string | undefined>({
    name: "CORE_TLS_CERT",
    default: null,
    what:
      "PEM file of this side's certificate between edge and core. The core serves with it, an edge shows it if the core asks. A new file is taken without a restart.",
    change: "If edge and core are on different machines: then TLS is a must.",
    value: file,
  }),
  coreTlsKey: row<string | undefined>({
    name: "CORE_TLS_KEY",
    default: null,
    what: "PEM file of the private key of `TIDINGS_CORE_TLS_CERT`.",
    change: "Together with it.",
    value: file,
  }),
  coreCa: row<string | undefined>({
    name: "CORE_CA",
    default: null,
    what: "PEM file of the authorities that the edge trusts to certify the core. Unset: the system's.",
    change: "If the core's certificate is from an authority of your own.",
    value: file,
  }),
  coreClientCa: row<string | undefined>({
    name: "CORE_CLIENT_CA",
    default: null,
    what:
      "PEM file of the authorities that must have certified an edge for the core to answer. Unset: edges need no certificate.",
    change: "If the core's port is reachable for more than its edges.",
    value: file,
  }),
  edgeTlsCert: row<string | undefined>({
    name: "EDGE_TLS_CERT",
    default: null,
    what: "PEM file of the public edge's certificate. A new file is taken without a restart. Unset: plain HTTP.",
    change: "If no proxy in front of the edge ends TLS.",
    value: file,
  }),
  edgeTlsKey: row<string | undefined>({
    name: "EDGE_TLS_KEY",
    default: null,
    what: "PEM file of the private key of `TIDINGS_EDGE_TLS_CERT`.",
    change: "Together with it.",
    value: file,
  }),
} as const;

type TransportSettings = ValuesOf<typeof TRANSPORT_ROWS & typeof PLACE_ROWS>;

/**
 * What is wrong, as a sentence that says what to set; undefined if nothing is. `isSet` tells what was not left to its default.
 */
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
  const aways = settings.coreUrl.filter((url) => !isLoopbackUrl(url));
  const plain = aways.find((url) => !/^https:/i.test(url));
  if (plain !== undefined) return `TIDINGS_CORE_URL "${plain}" is not on loopback, so it must be https`;
  const [away] = aways;
  if (away === undefined) return undefined;
  if (settings.edgeKey === undefined) {
    return `TIDINGS_CORE_URL "${away}" is not on loopback, so TIDINGS_EDGE_KEY must be set, and its public half stand in the core's TIDINGS_EDGE_KEYS`;
  }
  return undefined;
}
