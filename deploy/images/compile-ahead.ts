// Part of the build of images: runs a whole hub once, from its start over a health check to its stop, so that NODE_COMPILE_CACHE has
// the compiled code of all that an image runs. Ends with 1 if any of that fails.
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { NODE_FLAGS } from "../../shared/runtime/node-flags.ts";
import { complain, environment, exit } from "../../shared/runtime/process.ts";

const HUB = "../../cli/tidings.ts";
const HEALTH_CHECK = "../../shared/runtime/healthcheck.ts";
/** A hub that is not ready by then is killed. */
const READY_WITHIN_MS = 60_000;

const hub = run(HUB, ["start"], {});
const ended = once(hub, "exit");
const late = setTimeout(() => hub.kill("SIGKILL"), READY_WITHIN_MS);
let healthy = false;
// The first line says where the hub is, as it has taken a free port.
for await (const line of createInterface(hub.stdout)) {
  const [, host] = /^The hub is at http:\/\/([^/]+)\//.exec(line) ?? [];
  if (host === undefined) continue;
  clearTimeout(late);
  const [code] = await once(run(HEALTH_CHECK, ["edge"], { TIDINGS_EDGE_LISTEN: host }), "exit");
  healthy = code === 0;
  hub.kill("SIGTERM");
}
const [code] = await ended;
if (!healthy) complain("Cannot compile ahead: the hub did not become healthy");
else if (code !== 0) complain(`Cannot compile ahead: the hub ended with ${code}`);
exit(healthy && code === 0 ? 0 : 1);

function run(script: string, args: readonly string[], settings: Readonly<Record<string, string>>) {
  return spawn(process.execPath, [...NODE_FLAGS, fileURLToPath(new URL(script, import.meta.url)), ...args], {
    env: { ...environment, ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
}
