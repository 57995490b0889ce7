// Loaded before a test file on Deno, whose `node:test` lets a test pass although an exception in a timer or an event was not caught.
// Notes such exceptions in the file that TIDINGS_TEST_UNCAUGHT names, so that the test file fails.
import { appendFileSync } from "node:fs";

const notes = process.env["TIDINGS_TEST_UNCAUGHT"];

process.on("uncaughtExceptionMonitor", (error: unknown) => {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  if (notes !== undefined) appendFileSync(notes, `${text}\n`);
});
