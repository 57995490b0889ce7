// The command `listen`: subscribes, prints what comes, unsubscribes on Ctrl-C.

import { parseArgs } from "node:util";
import { hexOf } from "../shared/encoding.ts";
import { invocationOf } from "../shared/runtime/installation.ts";
import { complain, onStop, say } from "../shared/runtime/process.ts";
import { serve } from "../shared/runtime/serve.ts";
import type { Served } from "../shared/serve.ts";
import { describeDelivery, describeLease, printable } from "./description.ts";
import { createListener, type Listener, ListenerError } from "./listener.ts";

const DEFAULT_HUB = "http://127.0.0.1:9191/hub";
const VERIFY_DEADLINE_MS = 20_000;
const UNSUBSCRIBE_DEADLINE_MS = 8_000;

const usage = () =>
  `Usage: ${invocationOf("listen", "[options] TOPIC")}
Subscribes to TOPIC, prints what is delivered, and unsubscribes on Ctrl-C.

  --hub URL        the hub's URL (default ${DEFAULT_HUB})
  --host ADDRESS   where to listen (default 127.0.0.1)
  --port NUMBER    likewise (default 9393; 0 takes a free one)
  --callback URL   where the hub reaches this listener (default http://HOST:PORT/)
  --secret TEXT    the subscription's secret, under 200 bytes (default a random one)
  --lease SECONDS  the lease to ask for (default the hub's)
  --token TEXT     the access token, if the hub asks for one`;

interface Command {
  readonly topic: string;
  readonly hub: string;
  readonly host: string;
  readonly port: number;
  /** Default: where this process listens. */
  readonly callback: string | undefined;
  readonly secret: string;
  readonly leaseSeconds: number | undefined;
  readonly accessToken: string | undefined;
}

/** Resolves to the exit code once it has unsubscribed. @throws {Error} a sentence for people */
export async function listen(args: readonly string[]): Promise<number> {
  const command = parseCommand(args);
  if (command !== undefined) return await run(command);
  say(usage());
  return 0;
}

/** What the command line asks for; undefined: help. @throws {Error} a sentence for people */
function parseCommand(args: readonly string[]): Command | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      hub: { type: "string", default: DEFAULT_HUB },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "9393" },
      callback: { type: "string" },
      secret: { type: "string", default: randomSecret() },
      lease: { type: "string" },
      token: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const [topic, ...more] = positionals;
  if (topic === undefined || more.length > 0) throw new Error(`Name one topic, not ${positionals.length}.\n${usage()}`);
  const port = numberOf("--port", values.port, 0, 65_535);
  const leaseSeconds = values.lease === undefined ? undefined : numberOf("--lease", values.lease, 1, 2 ** 31);
  if (values.secret === "") throw new Error("--secret must not be empty");
  if (values.token !== undefined && !/^[!-~]+$/.test(values.token)) throw new Error("--token is no access token");
  const { hub, host, callback, secret, token: accessToken } = values;
  for (const [name, url] of [["--hub", hub], ["--callback", callback]] as const) {
    if (url !== undefined && !/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
      throw new Error(`${name} must be an http or https URL, not "${url}"`);
    }
  }
  return { topic, hub, host, port, callback, secret, leaseSeconds, accessToken };
}

/** Subscribes, prints what comes, and unsubscribes on Ctrl-C; resolves to the exit code. */
async function run(
  { topic, hub, host, port, secret, leaseSeconds, accessToken, ...command }: Command,
): Promise<number> {
  const ending = Promise.withResolvers<number>();
  // The port is open before the hub is asked, since the hub asks back at once; the callback may depend on the port.
  let answer: (request: Request) => Promise<Response> = async () => new Response(null, { status: 503 });
  const served = await serve({ fetch: (request) => answer(request), hostname: host, port });
  const callback = command.callback ?? `${served.url}/`;
  const listener = createListener({
    hub,
    topic,
    callback,
    secret,
    ...(leaseSeconds === undefined ? {} : { leaseSeconds }),
    ...(accessToken === undefined ? {} : { accessToken }),
    onDelivery: (delivery) => say(describeDelivery(delivery, new Date())),
    onDenied: (reason) => {
      complain(`listen: the hub says that there is no subscription: ${printable(reason)}`);
      ending.resolve(1);
    },
  });
  answer = (request) => listener.fetch(request);

  let asked: Promise<number> | undefined;
  onStop(() => {
    say("Unsubscribing …");
    void unsubscribe(listener, asked).then(ending.resolve);
  });
  try {
    asked = listener.subscribe(VERIFY_DEADLINE_MS);
    const lease = await asked;
    say(`Subscribed to ${topic} for ${describeLease(lease)}; the callback is ${callback}`);
    say("Ctrl-C unsubscribes.");
  } catch (error) {
    await close(served);
    if (!(error instanceof ListenerError)) throw error;
    throw new Error(
      printable(error.message) + (error.code === "unreachable" ? `; is it running? (${invocationOf("start")})` : ""),
      {
        cause: error,
      },
    );
  }
  const code = await ending.promise;
  await close(served);
  return code;
}

/** Unsubscribes once a subscribe that is in flight has ended; resolves to the exit code. */
async function unsubscribe(listener: Listener, asked: Promise<number> | undefined): Promise<number> {
  await asked?.catch(() => {});
  try {
    await listener.unsubscribe(UNSUBSCRIBE_DEADLINE_MS);
    say("Unsubscribed.");
    return 0;
  } catch (error) {
    complain(`listen: ${error instanceof Error ? printable(error.message) : String(error)}`);
    return 1;
  }
}

function close(served: Served): Promise<void> {
  return served.close(1_000);
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const number = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw new Error(`${name} must be a whole number from ${least} to ${most}, not "${text}"`);
}

function randomSecret(): string {
  return hexOf(crypto.getRandomValues(new Uint8Array(32)));
}
