// Makes keys before the tiers start: with `--shared` those that several cores share, with `--rotate` a new first one. It is a
// process of its own, so that the launcher need not read or write files.
import { parseSettings } from "../settings/settings.ts";
import { makeKeys, rotateCoreKeys } from "./keys.ts";
import { commandLine, complain, environment, exit, onFatal, say } from "./process.ts";

onFatal((error, origin) => complain(`tidings: ${origin}: ${error instanceof Error ? error.stack : String(error)}`));
try {
  const settings = parseSettings(environment);
  const asked = commandLine();
  if (asked.includes("--rotate")) {
    const kid = await rotateCoreKeys(settings);
    say(`Secrets are sealed to key ${kid} from now on; those sealed before follow in the background`);
  }
  if (asked.includes("--shared")) await makeKeys(settings);
  exit(0);
} catch (error) {
  complain(`tidings: ${error instanceof Error ? error.message : String(error)}`);
  exit(1);
}
