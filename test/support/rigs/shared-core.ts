// Cores in this process for tests of requests: a core for one test, or one that the tests of a block share.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { withDirectory } from "./core-rig.ts";
import { openTestCore, type TestCore, type TestCoreOptions } from "./test-core.ts";

let names = 0;
/** A topic and a callback that no other test has. */
export const pair = () => {
  names++;
  return { topic: `https://example.com/topic/${names}`, callback: `http://127.0.0.1:9/callback/${names}` };
};

/** Runs a test on a core of its own, which must report nothing as fatal. */
export async function withCore(
  options: Omit<TestCoreOptions, "directory">,
  run: (core: TestCore) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    await using core = await openTestCore({ directory, ...options });
    await run(core);
    assert.deepEqual(core.failures, []);
  });
}

/** How many events the log has. */
export const events = (core: TestCore) => core.log.end("events", 0);

/** The state of a subscription, or the code of the refusal to tell it. */
export async function stateOf(core: TestCore, topic: string, callback: string): Promise<string> {
  const status = await core.status(topic, callback);
  return typeof status === "string" ? status : status.state;
}

/** Declares tests that share one core; each uses topics and callbacks of its own. */
export function onSharedCore(settings: Record<string, string>, declare: (core: () => TestCore) => void): void {
  let core: TestCore | undefined;
  const done = Promise.withResolvers<void>();
  let ended: Promise<void> | undefined;
  before(async () => {
    const open = Promise.withResolvers<void>();
    ended = withCore({ settings }, async (opened) => {
      core = opened;
      open.resolve();
      await done.promise;
    });
    await Promise.race([open.promise, ended]);
  });
  after(async () => {
    done.resolve();
    await ended;
  });
  declare(() => core!);
}
