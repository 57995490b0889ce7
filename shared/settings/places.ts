// Settings of where the tiers listen, how they are found, and where data is.
import { row } from "./row.ts";
import { directory, httpOrigins, hubUrl, type Listen, listen, listenOrNowhere } from "./values.ts";

export const PLACE_ROWS = {
  edgeListen: row({
    name: "EDGE_LISTEN",
    default: "127.0.0.1:9191",
    what: "Where the edge listens, host:port. Off loopback, `TIDINGS_ACCESS` and `TIDINGS_HUB_URL` must be set.",
    change:
      "To let others than this machine reach the hub (`0.0.0.0:9191`), or where the port is taken. Port 0 takes a free one.",
    value: listen,
  }),
  coreListen: row({
    name: "CORE_LISTEN",
    default: "127.0.0.1:9192",
    what: "Where the core listens for edges, host:port. Off loopback it needs TLS and `TIDINGS_EDGE_KEYS`.",
    change: "If edges run on other machines, or several cores on one.",
    value: listen,
  }),
  edgeOperatingListen: row<Listen | undefined>({
    name: "EDGE_OPERATING_LISTEN",
    default: "127.0.0.1:9291",
    what:
      "Where the edge answers its operator, host:port: `/healthz`, `/readyz`, `/metrics`. It has neither TLS nor sign-in. Empty: nowhere.",
    change: "To let Prometheus reach it, on a network that strangers do not reach, or where the port is taken.",
    value: listenOrNowhere,
  }),
  coreOperatingListen: row<Listen | undefined>({
    name: "CORE_OPERATING_LISTEN",
    default: "127.0.0.1:9292",
    what: "Where the core answers its operator, likewise. With `--cores`, each core has the next port.",
    change: "For the same reasons.",
    value: listenOrNowhere,
  }),
  coreUrl: row({
    name: "CORE_URL",
    default: { from: "CORE_LISTEN", make: (at, isSet) => `${isSet("CORE_TLS_CERT") ? "https" : "http"}://${at}` },
    what: "Where an edge finds the cores, a list. Off loopback they must be https, and `TIDINGS_EDGE_KEY` must be set.",
    change:
      "For an edge that is started by itself. It stays with the core that answers, and goes to the next when that fails: give each edge another order.",
    value: httpOrigins,
  }),
  hubUrl: row({
    name: "HUB_URL",
    default: { from: "EDGE_LISTEN", make: (at, isSet) => `${isSet("EDGE_TLS_CERT") ? "https" : "http"}://${at}/hub` },
    what: 'The hub\'s public URL. Deliveries carry it in `Link: rel="hub"`.',
    change: "Whenever clients know the hub by another URL than the one it listens on, as behind a proxy.",
    value: hubUrl,
  }),
  dataDir: row({
    name: "DATA_DIR",
    default: "./data",
    what: "Directory of the embedded log, the replica, and the keys that the first start makes.",
    change:
      "To put the data on a disk of its own. Each core needs a directory of its own; a second process on one is refused.",
    value: directory,
  }),
} as const;
