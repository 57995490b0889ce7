// Settings of where the tiers listen, how they are found, and where data is.
import { row } from "./row.ts";
import { httpOrigins, httpUrl, listen, path } from "./values.ts";

export const PLACE_ROWS = {
  edgeListen: row({
    name: "EDGE_LISTEN",
    default: "127.0.0.1:9191",
    what: "Where the edge listens; off loopback, `ACCESS` and `HUB_URL` must be set",
    value: listen,
  }),
  coreListen: row({
    name: "CORE_LISTEN",
    default: "127.0.0.1:9192",
    what: "Where the core listens for edges; off loopback with TLS only",
    value: listen,
  }),
  coreUrl: row({
    name: "CORE_URL",
    default: { from: "CORE_LISTEN", make: (at, isSet) => `${isSet("CORE_TLS_CERT") ? "https" : "http"}://${at}` },
    what: "Where the edge finds the core, a list; off loopback https only",
    value: httpOrigins,
  }),
  hubUrl: row({
    name: "HUB_URL",
    default: { from: "EDGE_LISTEN", make: (at, isSet) => `${isSet("EDGE_TLS_CERT") ? "https" : "http"}://${at}/hub` },
    what: 'The hub\'s public URL, as it stands in `Link: rel="hub"`',
    value: httpUrl,
  }),
  dataDir: row({
    name: "DATA_DIR",
    default: "./data",
    what: "Directory of the embedded log and of the replica",
    value: path,
  }),
} as const;
