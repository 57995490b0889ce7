// Nobody outside can forge state: no request, topic name, header or key reaches an internal stream, and no id looks like one of
// the log's own keys (A3.1's "~").

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { keyedMessageIdOf, subscriptionIdOf, topicIdOf } from "../../core/state/ids.ts";
import { frameContent } from "../../shared/content-frame.ts";
import { CORE_PATHS } from "../../shared/core-api.ts";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { createCoreCaller } from "../support/hub/core-caller.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import { openOwnHub } from "../support/hub/hub.ts";
import type { OwnHub } from "../support/hub/hub.ts";
import { publish, request, statusOf, subscribed } from "../support/hub/hub-client.ts";
import { inFile } from "../support/sqlite-file.ts";
import { edgeKeyIn } from "./fuzz.ts";
import { STRANGE_TEXT } from "./strange.ts";

const OWN_IDS = /^(?:[A-Za-z0-9_-]{43}|~[a-z-]*)$/;

describe("forging state", () => {
  it("ids are hashes, whatever is hashed: they never begin with ~", () => {
    const text = fc.oneof(fc.constantFrom(...STRANGE_TEXT), fc.string({ unit: "binary", maxLength: 60 }));
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        assert.match(topicIdOf(a), /^[A-Za-z0-9_-]{43}$/);
        assert.match(subscriptionIdOf(a, b), /^[A-Za-z0-9_-]{43}$/);
        assert.match(keyedMessageIdOf(a, topicIdOf(b), c), /^msg_[A-Za-z0-9_-]{43}$/);
      }),
      { seed: 20_261_124, numRuns: 2_000 },
    );
  });

  it("a topic and a callback cannot be cut elsewhere to make the id of another pair", () => {
    // NUL separates the two, and neither can contain one.
    assert.notEqual(subscriptionIdOf("a", "http://b.example/"), subscriptionIdOf("ahttp://b.example/", ""));
    assert.notEqual(subscriptionIdOf("t", "http://b.example/"), topicIdOf("t"));
  });

  it("no name, header or key from outside is a record of a stream of our own; what was there stays as it was", async () => {
    await using callbacks = await openCallbackServer();
    const hub = await openOwnHub();
    try {
      const bystander = callbacks.callback();
      await subscribed(hub, "bystander", bystander, { "hub.secret": "s" });
      const core = createCoreCaller(hub.coreUrl, { key: await edgeKeyIn(hub.dataDir) });
      const before = await settledOf(hub, bystander.url);
      const seen = new Set<number>();
      for (const strange of STRANGE_TEXT.map((text) => text.toWellFormed())) {
        const replies = [
          await publish(hub, strange, { body: strange, headers: { "idempotency-key": "~", "ce-id": "~owner" } }),
          await request(hub, "subscribe", strange, callbacks.callback().url, { "hub.verify_token": strange }),
          await call(hub.url, {
            method: "POST",
            body: encodeForm({ "hub.mode": "register", "hub.topic": strange }),
            headers: { "content-type": "application/x-www-form-urlencoded" },
          }),
          // The core itself, as a broken edge would ask it.
          await core(CORE_PATHS.messages, {
            method: "POST",
            body: frameContent(
              { id: strange.slice(0, 100) || "~", madeAt: Date.now(), topic: strange, contentType: strange },
              Buffer.from("x"),
            ),
          }),
          await core(CORE_PATHS.operations, {
            method: "POST",
            body: JSON.stringify({ kind: "register", id: strange, madeAt: Date.now(), topic: strange }),
          }),
          await core(CORE_PATHS.operations, {
            method: "POST",
            body: JSON.stringify({
              kind: strange,
              type: "state",
              stream: "subscriptions",
              key: "~",
              partition: 0,
              id: "a",
            }),
          }),
        ];
        for (const { status } of replies) {
          assert.ok(status < 500, `${status} for ${JSON.stringify(strange)}`);
          seen.add(status);
        }
      }
      assert.ok(seen.has(200) && seen.has(400), "some names are names like any other, some are none");
      assert.deepEqual(await settledOf(hub, bystander.url), before);
      assert.equal(bystander.deliveries.length, 0);
      assert.equal(await hub.stop("edge"), 0);
      assert.equal(await hub.stop("core"), 0);
      await assertKeysAreOurs(join(hub.dataDir, "log.db"));
      // All of it can be read back.
      await hub.start("core");
      await hub.start("edge");
      assert.deepEqual(await settledOf(hub, bystander.url), before);
    } finally {
      await hub.close();
    }
  });
});

/** The bystander's status without its cursor, which moves with the log while there is no backlog. */
async function settledOf(hub: OwnHub, callback: string) {
  const status = await statusOf(hub, "bystander", callback);
  return status === undefined ? undefined : { ...status, cursor: null };
}

/** Every table is one of our streams. Every key is a hash, or a "~" key in a stream that only a shard's owner writes. */
async function assertKeysAreOurs(path: string): Promise<void> {
  await inFile(path, async (file) => {
    const tables = await file.execute(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    );
    const found: Record<string, number> = {};
    for (const name of tables.rows.map((row) => textOf(row["name"]))) {
      const columns = await file.execute(`SELECT name FROM pragma_table_info('${name}')`);
      if (!columns.rows.some((row) => row["name"] === "key")) continue;
      const keys = (await file.execute(`SELECT DISTINCT key FROM "${name}"`)).rows.map((row) => textOf(row["key"]));
      found[name] = keys.length;
      const outside = name === "s_messages" || name === "s_events";
      for (const key of keys) {
        if (name === "s_blocks") continue;
        assert.match(key, outside ? /^[A-Za-z0-9_-]{43}$/ : OWN_IDS, `${name}: ${key}`);
      }
    }
    assert.ok((found["s_messages"] ?? 0) > 10 && (found["s_events"] ?? 0) > 10, JSON.stringify(found));
  });
}

function textOf(value: unknown): string {
  assert.equal(typeof value, "string");
  return value as string;
}
