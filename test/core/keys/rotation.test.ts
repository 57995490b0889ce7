// A core before, during and after a rotation of its keys (ARCHITECTURE §5), and one that has lost a key.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sealedHeaderOf } from "../../../core/keys/open-sealed.ts";
import type { SubscriptionRecord } from "../../../core/state/records.ts";
import { makeCoreKey } from "../../../shared/jwks.ts";
import { compacted, withDirectory } from "../../support/rigs/core-rig.ts";
import { eventually } from "../../support/eventually.ts";
import { CORE_KEY } from "../../support/keys.ts";
import { createScriptedTransport } from "../../support/rigs/scripted-transport.ts";
import { hubSignature } from "../../support/signatures.ts";
import { openTestCore, type TestCore } from "../../support/rigs/test-core.ts";

const TOPIC = "https://example.com/feed";
const callbackOf = (path: string) => `http://127.0.0.1:8080${path}`;
const PATHS = Array.from({ length: 25 }, (_, number) => `/signed/${number}`);

const newer = await makeCoreKey();

/** The ids of the keys that the secrets in the log are sealed to. */
async function kidsIn(core: TestCore): Promise<Set<string | undefined>> {
  const records = await compacted<SubscriptionRecord>(core.log, "subscriptions");
  const secrets = [...records.values()].flatMap(({ secret }) => secret ?? []);
  return new Set(secrets.map((secret) => sealedHeaderOf(secret)?.kid));
}

async function assertSigned(core: TestCore, body: string): Promise<void> {
  assert.equal((await core.publish(TOPIC, body)).status, 200);
  for (const path of PATHS) {
    const sent = await eventually(
      `"${body}" to ${path}`,
      () => core.transport.posts.find(({ target, text }) => target === path && text === body),
    );
    assert.equal(sent.header("x-hub-signature"), hubSignature(`secret of ${path}`, Buffer.from(body)));
  }
}

async function metricOf(core: TestCore, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await core.metrics())?.[1]);
}

describe("a core's keys", { timeout: 60_000 }, () => {
  it("rotate: old ones open, every subscription is sealed anew by its owner, and then the old one can go", async () => {
    await withDirectory(async (directory) => {
      {
        await using core = await openTestCore({ directory });
        for (const path of PATHS) {
          await core.subscribe(TOPIC, callbackOf(path), { secret: `secret of ${path}` });
        }
        await core.subscribe(TOPIC, callbackOf("/unsigned"));
        await assertSigned(core, "before");
        assert.deepEqual(await kidsIn(core), new Set([CORE_KEY.kid]));
      }
      {
        await using core = await openTestCore({ directory, keys: [newer, CORE_KEY] });
        await assertSigned(core, "meanwhile");
        const status = await core.status(TOPIC, callbackOf(PATHS[0]!));
        // The test sweeps itself, so that it need not wait for the core's next sweep.
        const done = async () => {
          core.sweep();
          const kids = await kidsIn(core);
          return kids.size === 1 && kids.has(newer.kid);
        };
        await eventually("every secret to be sealed to the newer key", done, { everyMs: 20 });
        assert.equal(await metricOf(core, /tidings_secrets_total\{[^}]*what="resealed"[^}]*\} (\d+)/), PATHS.length);
        await assertSigned(core, "after");
        // The subscriber notices nothing: the lease is the same, and no message came twice.
        const later = await core.status(TOPIC, callbackOf(PATHS[0]!));
        assert.ok(typeof status !== "string" && typeof later !== "string");
        assert.equal(later.leaseExpiresAt, status.leaseExpiresAt);
        assert.equal(core.transport.to(PATHS[0]!).length, 2);
        assert.deepEqual(core.failures, []);
      }
      await using core = await openTestCore({ directory, keys: [newer] });
      await assertSigned(core, "without the old one");
    });
  });

  it("that a core does not have: nothing goes out unsigned, it is said and counted, others are not held up, and it heals", async () => {
    await withDirectory(async (directory) => {
      const [signed, unsigned] = ["/signed/0", "/unsigned"];
      {
        await using core = await openTestCore({ directory });
        await core.subscribe(TOPIC, callbackOf(signed), { secret: `secret of ${signed}` });
        await core.subscribe(TOPIC, callbackOf(unsigned));
      }
      const transport = createScriptedTransport();
      {
        await using core = await openTestCore({ directory, keys: [newer], transport });
        await core.publish(TOPIC, "held back");
        await eventually("the other subscriber's", () => transport.to(unsigned).length === 1);
        const status = await eventually("the reason", async () => {
          const status = await core.status(TOPIC, callbackOf(signed));
          return typeof status !== "string" && status.lastError !== null && status;
        });
        assert.match(status.lastError!, new RegExp(`sealed to key "${CORE_KEY.kid}", which this core does not have`));
        assert.ok(await metricOf(core, /tidings_secrets_total\{[^}]*what="unopened"[^}]*\} (\d+)/) > 0);
        // A sweep cannot reseal the secret, and does not fail either.
        core.sweep();
        await core.publish(TOPIC, "held back, too");
        await eventually("the other subscriber's", () => transport.to(unsigned).length === 2);
        assert.deepEqual(transport.to(signed), []);
        assert.deepEqual(core.failures, []);
      }
      await using core = await openTestCore({ directory, keys: [newer, CORE_KEY], transport });
      await eventually("what was held back", () => transport.to(signed).length === 2);
      assert.deepEqual(transport.to(signed), ["held back", "held back, too"]);
      assert.equal(
        transport.posts.find(({ target }) => target === signed)!.header("x-hub-signature"),
        hubSignature(`secret of ${signed}`, Buffer.from("held back")),
      );
      assert.deepEqual(core.failures, []);
    });
  });

  it("are told to edges: a secret sealed to another hub's, or for another subscription, never gets into the log", async () => {
    await withDirectory(async (directory) => {
      await using core = await openTestCore({ directory, keys: [newer] });
      const before = await core.log.end("events", 0);
      await assert.rejects(
        core.subscribe(TOPIC, callbackOf("/a"), { secret: "s" }),
        /401: .*which this core does not have/,
      );
      assert.equal(await core.log.end("events", 0), before);
    });
  });
});
