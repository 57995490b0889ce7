import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CALLER_HEADER, CORE_PATHS } from "../../../shared/core-api.ts";
import { operationId, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually, never } from "../../support/eventually.ts";
import { encodeForm } from "../../support/form.ts";
import { createScriptedTransport, type ScriptedTransport } from "../../support/rigs/scripted-transport.ts";
import { openTestCore, type TestCore } from "../../support/rigs/test-core.ts";

const TOPIC = "https://example.com/feed";
const CALLBACK = "http://127.0.0.1:9/callback";
const PATH = "/callback";

async function replay(core: TestCore, key: string, letter?: string): Promise<number> {
  const operation = {
    kind: "replay",
    id: operationId(),
    madeAt: core.clock(),
    topic: TOPIC,
    callback: CALLBACK,
    caller: { kind: "anyone" },
    key,
    ...(letter === undefined ? {} : { letter }),
  };
  const { status } = await core.call(CORE_PATHS.subscriptions, {
    method: "POST",
    body: JSON.stringify(operation),
    headers: { "content-type": "application/json" },
  });
  return status;
}

async function letters(core: TestCore): Promise<number> {
  const { text } = await core.call(
    `${CORE_PATHS.deadLetters}?${encodeForm({ topic: TOPIC, callback: CALLBACK })}`,
    {
      headers: { [CALLER_HEADER]: encodeURIComponent(JSON.stringify({ kind: "anyone" })) },
    },
  );
  return (JSON.parse(text) as { deadLetters: unknown[] }).deadLetters.length;
}

/** A core whose subscriber has given up these messages. */
async function openRefused(directory: string, bodies: readonly string[], transport: ScriptedTransport) {
  const core = await openTestCore({ directory, transport });
  await core.subscribe(TOPIC, CALLBACK);
  for (const body of bodies) await core.publish(TOPIC, body);
  await eventually("the dead letters", async () => await letters(core) === bodies.length);
  return core;
}

describe("WIRE §5 a replay of dead letters", { timeout: 60_000 }, () => {
  it("A3.8 A3.10 is owed across restarts, sends each letter once, and its key stays used", async () => {
    await withDirectory(async (directory) => {
      const refusing = createScriptedTransport(() => 422);
      const bodies = ["one", "two", "three"];
      {
        await using core = await openRefused(directory, bodies, refusing);
        // The first is taken, the second hangs until the core stops.
        refusing.answer = ({ text }) => text === "one" ? 204 : "hold";
        const before = refusing.posts.length;
        assert.equal(await replay(core, "key"), 200);
        await eventually("the second", () => refusing.posts.length === before + 2);
        assert.deepEqual(refusing.to(PATH).slice(before), ["one", "two"]);
      }
      const transport = createScriptedTransport();
      await using core = await openTestCore({ directory, transport });
      await eventually("no letter", async () => await letters(core) === 0);
      assert.deepEqual(transport.to(PATH), ["two", "three"]);
      assert.equal(await replay(core, "key"), 200);
      await never("an attempt", () => transport.posts.length > 2, 300);
      assert.deepEqual(core.failures, []);
    });
  });

  it("a letter that is refused again stays a dead letter, after as many attempts as before", async () => {
    await withDirectory(async (directory) => {
      const transport = createScriptedTransport(() => 422);
      await using core = await openRefused(directory, ["one"], transport);
      const { length } = transport.posts;
      assert.equal(await replay(core, "key", transport.posts[0]!.id), 200);
      await eventually("its attempts", () => transport.posts.length === length + 5);
      await never("a sixth", () => transport.posts.length > length + 5, 300);
      assert.equal(await letters(core), 1);
    });
  });

  it("§6.5 a 410 to a replay ends the subscription, and nothing of the replay comes after", async () => {
    await withDirectory(async (directory) => {
      const transport = createScriptedTransport(() => 422);
      await using core = await openRefused(directory, ["one", "two"], transport);
      const { length } = transport.posts;
      transport.answer = () => 410;
      assert.equal(await replay(core, "key"), 200);
      await eventually("its end", async () => {
        const status = await core.status(TOPIC, CALLBACK);
        return typeof status !== "string" && status.state === "gone";
      });
      await never("another attempt", () => transport.posts.length > length + 1, 300);
    });
  });

  it("§6.5 a replay is signed with the secret that a renewal brought while it waited", async () => {
    await withDirectory(async (directory) => {
      const transport = createScriptedTransport(() => 422);
      await using core = await openRefused(directory, ["one"], transport);
      transport.answer = () => 503;
      await core.publish(TOPIC, "holds the lane up");
      await eventually("a failure", () => transport.to(PATH).includes("holds the lane up"));
      assert.equal(await replay(core, "key"), 200);
      transport.answer = () => 204;
      await core.subscribe(TOPIC, CALLBACK, { secret: "new" });
      await eventually("no letter", async () => await letters(core) === 0);
      assert.match(transport.posts.findLast(({ text }) => text === "one")!.header("x-hub-signature") ?? "", /^sha256=/);
    });
  });
});
