// The core as a single file.
import { complain, exit } from "../../shared/runtime/process.ts";
import { readArguments } from "./arguments.ts";

readArguments("core");
try {
  await import("../../core/main.ts");
} catch (error) {
  if ((error as { code?: unknown }).code !== "ERR_DLOPEN_FAILED") throw error;
  // Bun writes native code into a file before it loads it.
  complain(
    "tidings core: cannot load libSQL from the temporary directory; set TMPDIR to a directory that can be written",
  );
  exit(1);
}
