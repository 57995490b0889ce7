// The health check of an image, which has neither a shell nor curl: asks the tier with these settings, at the address where it
// listens, whether it is up. `node shared/runtime/healthcheck.ts edge` or `core` ends with 0 if it is, else with 1 and a sentence.
import { get } from "node:http";
import { get as getTls } from "node:https";
import { hostAndPort } from "../serve.ts";
import { parseSettings, type Settings, SettingsError } from "../settings/settings.ts";
import { commandLine, complain, environment, exit } from "./process.ts";

/** Less than the `--timeout` of the image's HEALTHCHECK. */
const TIMEOUT_MS = 4_000;
/** How this machine itself reaches a server that listens on all its addresses. */
const OWN_ADDRESS: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

const problem = await problemOf(commandLine());
if (problem !== undefined) complain(`healthcheck: ${problem}`);
exit(problem === undefined ? 0 : 1);

async function problemOf([tier]: readonly string[]): Promise<string | undefined> {
  if (tier !== "edge" && tier !== "core") return "name the tier, edge or core";
  try {
    return await ask(tier, parseSettings(environment));
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
}

/** Resolves to undefined if the tier is up, else to a sentence. */
function ask(tier: "edge" | "core", settings: Settings): Promise<string | undefined> {
  const { host, port } = tier === "edge" ? settings.edgeListen : settings.coreListen;
  const cert = tier === "edge" ? settings.edgeTlsCert : settings.coreTlsCert;
  const wantsCertificate = tier === "core" && settings.coreClientCa !== undefined;
  const at = `the ${tier} at ${hostAndPort(host, port)}`;
  return new Promise((resolve) => {
    const options = {
      host: OWN_ADDRESS[host] ?? host,
      port,
      path: "/healthz",
      agent: false,
      timeout: TIMEOUT_MS,
      // It asks itself: the certificate is for the name by which others know it.
      rejectUnauthorized: false,
    };
    const request = (cert === undefined ? get : getTls)(options, ({ statusCode }) => {
      resolve(statusCode === 200 ? undefined : `${at} answers ${statusCode}`);
    });
    request.on("timeout", () => request.destroy(new Error(`nothing came within ${TIMEOUT_MS} ms`)));
    request.on("error", ({ code, message }: NodeJS.ErrnoException) => {
      // A core that answers only its edges is up, too. The alert has another code on each runtime.
      const isRefusal = wantsCertificate && `${code} ${message}`.includes("CERTIFICATE_REQUIRED");
      resolve(isRefusal ? undefined : `${at} does not answer: ${message}`);
    });
  });
}
