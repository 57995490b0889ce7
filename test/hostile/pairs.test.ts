// A stranger asks for somebody's pair, again and again: who has it renews and unsubscribes as before (WIRE §2).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { IntentAnswer } from "../../shared/core-api.ts";
import { operationId } from "../support/rigs/core-rig.ts";
import { onSharedCore, pair, stateOf } from "../support/rigs/shared-core.ts";
import { resultOf } from "../support/rigs/test-core.ts";
import { sealedFor } from "../support/keys.ts";

/** As `requesterIdOf` makes them: 16 characters. */
const nameOf = (name: string) => name.padEnd(16, "-");
const OWNER = nameOf("owner");
const STRANGER = nameOf("stranger");

describe("WIRE §2 a pair for which strangers ask", () => {
  onSharedCore({}, (core) => {
    interface Asked {
      readonly topic: string;
      readonly callback: string;
    }
    const ask = async (
      { topic, callback }: Asked,
      requester: string,
      mode: "subscribe" | "unsubscribe" = "subscribe",
      secret?: string,
    ) => {
      const id = operationId();
      const sealed = secret === undefined ? {} : { secret: await sealedFor(topic, callback, secret) };
      const leaseMs = mode === "subscribe" ? { leaseMs: 600_000 } : {};
      const operation = { kind: "intent", id, mode, topic, callback, requester, ...leaseMs, ...sealed } as const;
      const { status, answer } = await core().operate(operation);
      return { id, status, answer: answer as IntentAnswer };
    };
    const settle = async ({ topic, callback }: Asked, id: string, mode: "subscribe" | "unsubscribe", yes = true) => {
      await core().operate(resultOf(id, mode, topic, callback, yes));
      return await stateOf(core(), topic, callback);
    };
    /** Junk requests of a stranger, more than may wait. */
    const flood = async (asked: Asked, requester = STRANGER, count = 12) => {
      for (let n = 0; n < count; n++) await ask(asked, requester, n % 2 === 0 ? "subscribe" : "unsubscribe");
      // What was accepted is folded.
      await stateOf(core(), asked.topic, asked.callback);
    };

    it("is renewed and unsubscribed by its owner, known by its address", async () => {
      const asked = pair();
      const first = await ask(asked, OWNER);
      assert.equal(first.answer.isOwn, undefined, "nobody has it yet");
      assert.equal(await settle(asked, first.id, "subscribe"), "active");
      for (const mode of ["subscribe", "subscribe", "unsubscribe"] as const) {
        await flood(asked);
        const { id, status, answer } = await ask(asked, OWNER, mode);
        assert.deepEqual([status, answer.isOwn], [200, true]);
        await flood(asked);
        assert.equal(await settle(asked, id, mode), mode === "subscribe" ? "active" : "unsubscribed");
      }
    });

    it("is renewed and unsubscribed by its owner from another address, known by the secret", async () => {
      const asked = pair();
      const first = await ask(asked, OWNER, "subscribe", "the owner's");
      assert.equal(await settle(asked, first.id, "subscribe"), "active");
      for (let n = 0; n < 10; n++) await flood(asked, nameOf(`stranger${n}`), 2);
      const wrong = await ask(asked, nameOf("elsewhere"), "subscribe", "a guess");
      assert.deepEqual([wrong.status, wrong.answer.isOwn], [429, undefined]);
      for (const mode of ["subscribe", "unsubscribe"] as const) {
        const { id, status, answer } = await ask(asked, nameOf("elsewhere"), mode, "the owner's");
        assert.deepEqual([status, answer.isOwn], [200, true]);
        assert.equal(await settle(asked, id, mode), mode === "subscribe" ? "active" : "unsubscribed");
      }
    });

    it("that nobody has is subscribed beside a stranger's requests, which replace each other", async () => {
      const asked = pair();
      await flood(asked);
      const { answer } = await ask(asked, STRANGER);
      assert.ok(answer.replaces !== undefined, "its edge asks no more for the one before");
      const { id, status } = await ask(asked, OWNER);
      assert.equal(status, 200);
      await flood(asked);
      assert.equal(await settle(asked, id, "subscribe"), "active");
    });

    it("keeps the secret of an unsubscribe out of the log", async () => {
      const asked = pair();
      const sealed = await sealedFor(asked.topic, asked.callback, "s");
      await core().operate({ kind: "intent", mode: "unsubscribe", ...asked, requester: OWNER, secret: sealed });
      const { records } = await core().log.read("events", 0, 0, { maxBytes: 1e9 });
      assert.ok(records.length > 0);
      assert.ok(records.every(({ value }) => value === null || !Buffer.from(value).toString().includes(sealed)));
    });
  });
});
