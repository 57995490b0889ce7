import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { countAppends } from "../../core/observe.ts";
import { openLibsqlLog } from "../../core/log/libsql/libsql-log.ts";
import { createMetrics } from "../../shared/runtime/metrics.ts";

it("appends are counted by stream and by what came of them", async () => {
  const directory = await mkdtemp(join(tmpdir(), "tidings-counted-"));
  const metrics = createMetrics({ tier: "core" });
  const onFatal = (error: Error) => assert.fail(error);
  const log = countAppends(
    await openLibsqlLog({ directory, retentionMs: 60_000, maxMessageBytes: 10, onFatal }),
    metrics,
  );
  try {
    const record = (size: number) => ({ key: "k", value: new Uint8Array(size) });
    await Promise.all([log.append("messages", record(1)), log.append("messages", record(10))]);
    await log.append("events", record(1));
    await assert.rejects(log.append("messages", record(11)));
    const { text } = await metrics.render();
    assert.match(text, /^tidings_appends_total\{stream="messages",result="durable",tier="core"\} 2$/m);
    assert.match(text, /^tidings_appends_total\{stream="messages",result="refused",tier="core"\} 1$/m);
    assert.match(text, /^tidings_appends_total\{stream="events",result="durable",tier="core"\} 1$/m);
    assert.equal(
      (await metrics.render()).text.match(/^tidings_appends_total\{.*messages.*durable.*\} (\d+)$/m)?.[1],
      "2",
    );
  } finally {
    await log.close();
    await rm(directory, { recursive: true });
  }
});
