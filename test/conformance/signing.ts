// CONFORMANCE §7: authenticated distribution.

import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { answer, script } from "../support/servers/answers.ts";
import { post, publish, published, subscribed } from "../support/hub/hub-client.ts";
import type { Recorded } from "../support/servers/recording-server.ts";
import { hubSignature } from "../support/signatures.ts";
import { row, update } from "./rig.ts";
import type { Rig } from "./rig.ts";

const HEX_LENGTH: Readonly<Record<string, number>> = { sha1: 40, sha256: 64, sha384: 96, sha512: 128 };

/** H64 and H65: the signature's form, and its HMAC computed again over the bytes that came. */
function assertSigned(delivery: Recorded | undefined, secret: string): void {
  const signature = String(delivery?.headers["x-hub-signature"]);
  assert.match(signature, /^(sha1|sha256|sha384|sha512)=[0-9a-f]+$/);
  const [method = "", hex = ""] = signature.split("=");
  assert.equal(hex.length, HEX_LENGTH[method]);
  assert.equal(signature, hubSignature(secret, delivery?.body ?? Buffer.alloc(0), method));
}

export function signingRows(rig: Rig): void {
  const { hub, topics, callbacks } = rig;

  row(rig, "H63 §7.1 with a secret the first delivery and those after a renewal are signed", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    await subscribed(hub, topic.url, callback, { "hub.secret": "first secret" });
    await update(rig, topic, { body: "one" });
    assertSigned((await callback.delivered(1))[0], "first secret");
    await subscribed(hub, topic.url, callback, { "hub.secret": "second secret" });
    await update(rig, topic, { body: "two" });
    assertSigned((await callback.delivered(2))[1], "second secret");
  });

  row(rig, "H63 §7.1 a retry is signed like the first attempt", async () => {
    const topic = topics.topic();
    const callback = callbacks.callback();
    callback.onDelivery = script(answer(503), answer(204));
    await subscribed(hub, topic.url, callback, { "hub.secret": "retry" });
    await update(rig, topic, { body: "one" });
    const attempts = await callback.delivered(2);
    for (const attempt of attempts) assertSigned(attempt, "retry");
  }, "settings");

  for (const secret of ["plain", "grüße 秘密 🗝", "a&b+c%20=d", " spaces at both ends ", "x".repeat(199)]) {
    row(
      rig,
      `H64 H65 §7.1 the signature is the HMAC of the exact bytes under the secret "${secret.slice(0, 24)}"`,
      async () => {
        const topic = topics.topic();
        const callback = callbacks.callback();
        await subscribed(hub, topic.url, callback, { "hub.secret": secret });
        await update(rig, topic, {
          body: Buffer.from([0, 255, 13, 10, 0xc3, 0x28]),
          contentType: "application/octet-stream",
        });
        assertSigned((await callback.delivered(1))[0], secret);
      },
    );
  }

  row(rig, "H65 §7.1 an empty body is signed too", async () => {
    const topic = rig.name();
    const callback = callbacks.callback();
    await subscribed(hub, topic, callback, { "hub.secret": "nothing" });
    await publish(hub, topic, { body: "", contentType: "application/octet-stream" });
    assertSigned((await callback.delivered(1))[0], "nothing");
  }, "wire");

  row(rig, "H64 H67 WIRE §3 the method is sha256, or the one that SIGNATURE chooses", async () => {
    const required = await rig.variant();
    const topic = rig.name();
    const [here, there] = [callbacks.callback(), callbacks.callback()];
    await post(required, { "hub.mode": "register", "hub.topic": topic });
    for (const [on, callback] of [[hub, here], [required, there]] as const) {
      await subscribed(on, topic, callback, { "hub.secret": "methods" });
      await published(on, topic, "x");
      assertSigned((await callback.delivered(1))[0], "methods");
    }
    assert.match(String(here.deliveries[0]?.headers["x-hub-signature"]), /^sha256=/);
    assert.match(String(there.deliveries[0]?.headers["x-hub-signature"]), /^sha1=/);
  }, "wire");

  row(
    rig,
    "H64 H67 WIRE §2 hub.signature chooses the method of one subscription, and each renewal chooses anew",
    async () => {
      const topic = rig.name();
      const [chosen, other] = [callbacks.callback(), callbacks.callback()];
      const methodOf = (delivery: Recorded | undefined) => String(delivery?.headers["x-hub-signature"]).split("=")[0];
      await subscribed(hub, topic, other, { "hub.secret": "s" });
      for (const [n, method] of ["sha1", "sha384", "sha512", undefined].entries()) {
        const choice: Record<string, string> = method === undefined ? {} : { "hub.signature": method };
        await subscribed(hub, topic, chosen, { "hub.secret": "s", ...choice });
        await published(hub, topic, `message ${n}`);
        const delivery = (await chosen.delivered(n + 1))[n];
        assertSigned(delivery, "s");
        assert.equal(methodOf(delivery), method ?? "sha256");
        assert.match(String(delivery?.headers["webhook-signature"]), /^v1,/);
      }
      for (const delivery of await other.delivered(4)) assert.equal(methodOf(delivery), "sha256");
      const wrong = { "hub.mode": "subscribe", "hub.topic": topic, "hub.callback": chosen.url, "hub.signature": "md5" };
      assert.match((await post(hub, wrong)).text, /^hub\.signature must be one of/);
    },
    "wire",
  );

  row(
    rig,
    "WIRE §3 a renewal's hub.signature shows on a message that waits already; without a secret it shows nowhere",
    async () => {
      const topic = rig.name();
      const [waiting, bare] = [callbacks.callback(), callbacks.callback()];
      await subscribed(hub, topic, waiting, { "hub.secret": "s", "hub.signature": "sha512" });
      await subscribed(hub, topic, bare, { "hub.signature": "sha1" });
      waiting.onDelivery = answer(503, "", { "retry-after": "3600" });
      const id = await published(hub, topic, "waits");
      assert.match(String((await waiting.delivered(1))[0]?.headers["x-hub-signature"]), /^sha512=/);
      await subscribed(hub, topic, waiting, { "hub.secret": "s", "hub.signature": "sha1" });
      // A hub may have tried again before the renewal.
      let again: Recorded | undefined;
      await eventually("a delivery by the new method", () => {
        again = waiting.deliveries.find(({ headers }) => String(headers["x-hub-signature"]).startsWith("sha1="));
        return again !== undefined;
      });
      waiting.onDelivery = answer(204);
      assertSigned(again, "s");
      assert.equal(again?.headers["webhook-id"], id);
      assert.equal((await bare.delivered(1))[0]?.headers["x-hub-signature"], undefined);
    },
    "wire",
  );

  row(rig, "H66 §5.1 without a secret there is no signature", async () => {
    const topic = topics.topic();
    const [callback, empty] = [callbacks.callback(), callbacks.callback()];
    await subscribed(hub, topic.url, callback);
    await subscribed(hub, topic.url, empty, { "hub.secret": "" });
    await update(rig, topic, { body: "one" });
    for (const each of [callback, empty]) {
      const [delivery] = await each.delivered(1);
      assert.equal(delivery?.headers["x-hub-signature"], undefined);
      assert.equal(delivery?.headers["webhook-signature"], undefined);
    }
  });
}
