// The command `start`: the whole hub, a process for each tier.
import { createServer } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseSettings, PREFIX, printSettings, type Settings, SettingsError } from "../settings/settings.ts";
import type { Listen } from "../settings/values.ts";
import { hostAndPort } from "../serve.ts";
import { invocationOf } from "./installation.ts";
import { keySettings } from "./keys.ts";
import { assertWholeEnvironment, launch, runToEnd } from "./launcher.ts";
import { consequences } from "./capabilities.ts";
import { absolutePath, capabilities, environment, say } from "./process.ts";

/** As many as there are shards: another core would have nothing to do. */
const MOST_CORES = 16;

const usage = () =>
  `Usage: ${invocationOf("start", "[--cores N] [--rotate-keys] [--print-config]")}
Runs the hub's two processes; with --cores, N cores that share the work, on Kafka; with --rotate-keys, secrets are sealed to a
new key from then on. Settings are environment variables, see docs/settings.md.`;

/** Resolves to the exit code when all has ended. @throws {SettingsError} or an error of parseArgs, a sentence for people */
export async function start(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      cores: { type: "string" },
      "print-config": { type: "boolean" },
      "rotate-keys": { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    say(usage());
    return 0;
  }
  if (values["print-config"]) {
    printSettings(environment).forEach(say);
    return 0;
  }
  assertWholeEnvironment();
  const { chosen, cores } = await chooseCores(environment, parseCores(values.cores));
  const settings = parseSettings(chosen);
  const rotate = values["rotate-keys"] === true;
  const shared = cores.length > 1;
  if (rotate || shared) {
    const code = await runToEnd("keys", [...rotate ? ["--rotate"] : [], ...shared ? ["--shared"] : []], chosen);
    if (code !== 0) return code;
  }
  return await launch({
    environment: shared ? { ...chosen, ...keySettings(settings) } : chosen,
    cores,
    ready: ({ edge }) => greeting(settings, edge).forEach(say),
  });
}

type Environment = Readonly<Record<string, string | undefined>>;

function parseCores(text: string | undefined): number {
  if (text === undefined) return 1;
  if (/^[0-9]+$/.test(text) && Number(text) >= 1 && Number(text) <= MOST_CORES) return Number(text);
  throw new SettingsError(`--cores must be 1 to ${MOST_CORES}, not ${JSON.stringify(text)}`);
}

/** Several cores have ports that follow CORE_LISTEN's and directories of their own in DATA_DIR; the edge knows them all. */
async function chooseCores(
  given: Environment,
  count: number,
): Promise<{ readonly chosen: Environment; readonly cores: readonly Environment[] }> {
  const environment = await choosePorts(given);
  if (count === 1) return { chosen: environment, cores: [{}] };
  const anyPort = parseSettings(given).coreListen.port === 0;
  const { kafkaBrokers, coreListen: { host, port }, coreOperatingListen, coreTlsCert, dataDir } = parseSettings(
    environment,
  );
  if (kafkaBrokers.length === 0) {
    throw new SettingsError(
      `--cores ${count} needs Kafka, as the embedded log belongs to one process: set ${PREFIX}KAFKA_BROKERS, or start one core`,
    );
  }
  const cores = [];
  const urls = [];
  for (let index = 0; index < count; index++) {
    const listen = hostAndPort(host, anyPort && index > 0 ? await freePort(host) : port + index);
    cores.push({
      [`${PREFIX}CORE_LISTEN`]: listen,
      [`${PREFIX}CORE_OPERATING_LISTEN`]: nthListen(coreOperatingListen, index),
      [`${PREFIX}DATA_DIR`]: join(dataDir, `core-${index}`),
    });
    urls.push(`${coreTlsCert === undefined ? "http" : "https"}://${listen}`);
  }
  return { chosen: { [`${PREFIX}CORE_URL`]: urls.join(), ...environment }, cores };
}

/** Where the nth of several listens, so many ports further on; port 0 is any free one. */
function nthListen(first: Listen | undefined, nth: number): string {
  if (first === undefined) return "";
  return hostAndPort(first.host, first.port === 0 ? 0 : first.port + nth);
}

/** The tiers find each other by their settings, so a free port (0) is chosen before they start. */
async function choosePorts(environment: Environment): Promise<Environment> {
  const settings = parseSettings(environment);
  const chosen = { ...environment };
  for (const [name, listen] of [["EDGE_LISTEN", settings.edgeListen], ["CORE_LISTEN", settings.coreListen]] as const) {
    if (listen.port === 0) chosen[PREFIX + name] = hostAndPort(listen.host, await freePort(listen.host));
  }
  return chosen;
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function greeting(settings: Settings, edge: string): string[] {
  const topic = "https://example.com/news";
  const hub = `${edge.replace(/\/$/, "")}/hub`;
  const at = hub === "http://127.0.0.1:9191/hub" ? "" : `--hub ${hub} `;
  const data = absolutePath(settings.dataDir);
  const head = [
    `The hub is at ${settings.hubUrl}`,
    settings.kafkaBrokers.length > 0
      ? `Its log is on Kafka at ${settings.kafkaBrokers.join(", ")}, its replica in ${data}`
      : `Its data is in ${data}`,
    ...runtimeSentence(),
  ];
  // The four lines work without a token.
  if (settings.access !== "open") return [...head, accessSentence(settings)];
  return [
    ...head,
    "",
    `Paste these four lines into a second terminal, in ${absolutePath(".")}:`,
    "",
    `  curl -d hub.mode=register -d hub.topic=${topic} ${hub}`,
    `  ${invocationOf("listen", at + topic)} & sleep 2`,
    `  curl -H 'Content-Type: application/json' -d '{"hello":"world"}' '${hub}?hub.mode=publish&hub.topic=${topic}'`,
    `  curl '${edge.replace(/\/$/, "")}/subscriptions?topic=${topic}&callback=http://127.0.0.1:9393/'`,
    "",
    "There, fg and Ctrl-C end the listener; here, Ctrl-C ends the hub.",
  ];
}

/** What is different on this runtime, if anything is. */
function runtimeSentence(): string[] {
  const can = capabilities();
  const lacks = consequences(can);
  return lacks.length === 0 ? [] : [`On ${can.name} ${can.version}: ${lacks.join("; ")} (docs/runtimes.md)`];
}

function accessSentence({ access, policy, issuer, introspectionUrl }: Settings): string {
  if (access === "public") {
    return "Anyone may ping and subscribe; nobody may register topics or publish content (TIDINGS_ACCESS=public)";
  }
  const from = [...issuer, introspectionUrl].filter(Boolean).join(", ");
  return `Access is by tokens of ${from}, under the policy ${policy} (TIDINGS_ACCESS=token)`;
}
