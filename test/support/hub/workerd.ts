// An edge on real workerd, as a command: its configuration is written from the settings of a process, and the bundle is built if it is
// older than the sources.
import { execFileSync } from "node:child_process";
import { get as getPlain } from "node:http";
import { get as getSecure } from "node:https";
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { pause } from "../eventually.ts";

type Settings = Readonly<Record<string, string>>;

export interface WorkerdCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Holds its configuration; to be removed when it has ended. */
  readonly directory: string;
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Of wrangler.jsonc. */
export const COMPATIBILITY_DATE = "2026-06-01";
export const BUNDLE = `${ROOT}dist/worker.js`;
/** What goes into the bundle. */
const SOURCES = ["edge", "shared", "deploy/worker", "package-lock.json"];

/** The native program: npm's `workerd` is a wrapper that would leave it behind when it is killed. */
const WORKERD = `${ROOT}node_modules/@cloudflare/workerd-${process.platform}-${
  process.arch === "x64" ? "64" : process.arch
}/bin/workerd`;

/** Builds the bundle if there is none, or if it is older than a file that goes into it. */
export function buildWorker(): void {
  const builtAt = statSync(BUNDLE, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const changedAt = Math.max(...SOURCES.flatMap(filesOf).map((path) => statSync(path).mtimeMs));
  if (changedAt < builtAt) return;
  execFileSync(`${ROOT}node_modules/node/bin/node`, [`${ROOT}deploy/worker/build.ts`], { stdio: "pipe" });
}

/** The command that runs an edge with these settings, as they would be given to a process. */
export function workerdCommand(settings: Settings): WorkerdCommand {
  buildWorker();
  const directory = mkdtempSync(join(tmpdir(), "tidings-workerd-"));
  const config = join(directory, "config.capnp");
  writeFileSync(config, configOf(settings), { mode: 0o600 });
  const serve = [WORKERD, "serve", "--import-path=/", config];
  // A killed test takes its edge with it.
  if (process.platform !== "linux") return { command: serve[0]!, args: serve.slice(1), directory };
  return { command: "setpriv", args: ["--pdeathsig", "KILL", "--", ...serve], directory };
}

/** Resolves when the edge at this origin answers. @throws {Error} if its bindings are wrong: it says so where a process would end */
export async function workerdAnswers(origin: string, runs: () => boolean): Promise<void> {
  while (runs()) {
    const status = await statusOf(`${origin}/healthz`);
    if (status === 200) return;
    if (status !== undefined) throw new Error(`answers ${status}`);
    await pause(20);
  }
}

function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    // Whose certificate it has is not what is asked here.
    const get = url.startsWith("https:") ? getSecure : getPlain;
    const request = get(url, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", () => resolve(undefined));
  });
}

/** The files of a process become what a Worker has in their place: TLS is the platform's, the core is a service, the key a secret. */
function configOf(settings: Settings): string {
  const given = new Map(Object.entries(settings).filter(([name]) => name.startsWith("TIDINGS_")));
  const take = (name: string) => {
    const value = given.get(`TIDINGS_${name}`);
    given.delete(`TIDINGS_${name}`);
    return value;
  };
  const directory = take("DATA_DIR");
  const listen = given.get("TIDINGS_EDGE_LISTEN") ?? "127.0.0.1:9191";
  const [cert, certKey] = [take("EDGE_TLS_CERT"), take("EDGE_TLS_KEY")];
  const [coreCa, coreCert, coreKey] = [take("CORE_CA"), take("CORE_TLS_CERT"), take("CORE_TLS_KEY")];
  const operating = take("EDGE_OPERATING_LISTEN");
  for (const name of ["CORE_LISTEN", "CORE_OPERATING_LISTEN", "CORE_CLIENT_CA", "EDGE_KEYS", "CORE_KEYS"]) take(name);
  const key = given.get("TIDINGS_EDGE_KEY") ?? join(directory ?? "data", "edge-key.json");
  given.set("TIDINGS_EDGE_KEY", key.trimStart().startsWith("{") ? key : readFileSync(key, "utf8"));
  const hasService = coreCa !== undefined || coreCert !== undefined;
  const bindings = [
    ...Array.from(given, ([name, value]) => `( name = ${text(name)}, text = ${text(value)} )`),
    ...(hasService ? [`( name = "CORE", service = "core" )`] : []),
  ];
  const http = cert === undefined
    ? "http = ()"
    : `https = ( options = (), tlsOptions = ( keypair = ${keypair(cert, certKey!)} ) )`;
  const toCore = [
    ...(coreCa === undefined ? ["trustBrowserCas = true"] : [`trustedCertificates = [ ${pem(coreCa)} ]`]),
    ...(coreCert === undefined ? [] : [`keypair = ${keypair(coreCert, coreKey!)}`]),
  ];
  const sockets = [
    `( name = "edge", address = ${text(listen)}, ${http}, service = "main" )`,
    ...(operating === undefined ? [] : [
      `( name = "operating", address = ${
        text(operating)
      }, http = (), service = ( name = "main", entrypoint = "operating" ) )`,
    ]),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = [ ${heapFlags(settings).map(text).join(", ")} ],
  services = [
    ( name = "main", worker = .edge ),
    ( name = "internet", network = ( allow = ["private", "public"], tlsOptions = ( trustBrowserCas = true ) ) ),
    ( name = "core", network = ( allow = ["private", "public"], tlsOptions = ( ${toCore.join(", ")} ) ) ),
  ],
  sockets = [
    ${sockets.join(",\n    ")}
  ],
);
const edge :Workerd.Worker = (
  modules = [ ( name = "worker.js", esModule = embed ${text(BUNDLE)} ) ],
  compatibilityDate = ${text(COMPATIBILITY_DATE)},
  globalOutbound = "internet",
  bindings = [
    ${bindings.join(",\n    ")}
  ],
);
`;
}

/**
 * The flags of V8 for a heap that the settings bound, as for a process of Node's. workerd keeps native memory for each request until V8
 * collects the request's objects. V8 does so for the first time when its initial heap is full, so that heap is small.
 */
function heapFlags({ NODE_OPTIONS = "" }: Settings): string[] {
  const bounds = NODE_OPTIONS.split(" ").filter((option) => option.startsWith("--max-old-space-size="));
  return bounds.length === 0 ? [] : [...bounds, "--initial-old-space-size=8"];
}

function keypair(cert: string, key: string): string {
  return `( certificateChain = ${pem(cert)}, privateKey = ${pem(key)} )`;
}

function pem(path: string): string {
  return text(readFileSync(path, "utf8"));
}

/** A text of Cap'n Proto's language, whose escapes are those of C. */
function text(value: string): string {
  const escaped = value.replace(/[\\"\n\r]/g, (character) => {
    return ({ "\n": "\\n", "\r": "\\r" } as Readonly<Record<string, string>>)[character] ?? `\\${character}`;
  });
  return `"${escaped}"`;
}

function filesOf(path: string): string[] {
  const whole = `${ROOT}${path}`;
  if (!statSync(whole).isDirectory()) return [whole];
  return readdirSync(whole, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
