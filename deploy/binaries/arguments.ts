// What a single file takes on its command line. Its settings are environment variables.
import { capabilities, commandLine, complain, exit, say } from "../../shared/runtime/process.ts";
import { VERSION } from "../../shared/product.ts";

/** Answers --version and --help, and refuses everything else: then the process ends. */
export function readArguments(tier: "core" | "edge"): void {
  const name = `tidings-${tier}`;
  const [argument, ...more] = commandLine();
  if (argument === undefined) return;
  if (more.length === 0 && argument === "--version") {
    const { name: runtime, version } = capabilities();
    say(`${name} ${VERSION} (${runtime} ${version})`);
    exit(0);
  }
  if (more.length === 0 && argument === "--help") {
    say(`Usage: ${name} [--version]\nRuns one ${tier} of a hub. Its settings are environment variables, TIDINGS_….`);
    exit(0);
  }
  complain(`tidings ${tier}: ${JSON.stringify(argument)} is not an option; the settings are environment variables`);
  exit(1);
}
