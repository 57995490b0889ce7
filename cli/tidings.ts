// The program `tidings`, on Node, Deno and Bun: its first argument is a command, the rest belongs to that command.
import { commandLine, complain, exit, onFatal } from "../shared/runtime/process.ts";
import { runCommand } from "./commands.ts";

onFatal((error, origin) => complain(`tidings: ${origin}: ${error instanceof Error ? error.stack : String(error)}`));
exit(await runCommand(commandLine()));
