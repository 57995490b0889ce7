import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { createSignatureCheck } from "../../client/signature.ts";
import type { Checked } from "../../client/signature.ts";

const SECRET = "grüße & more";
const NOW = 1_795_248_000_000;
const body = Uint8Array.from([0, 255, 10, 13, 0xc3]);

function hubHeader(method: string, secret = SECRET, bytes = body): string {
  return `${method}=${createHmac(method, secret).update(bytes).digest("hex")}`;
}

function webhookHeaders(key: string | Buffer = SECRET, at = NOW / 1_000, bytes = body): Record<string, string> {
  const signature = createHmac("sha256", key).update(`msg_1.${at}.`).update(bytes).digest("base64");
  return { "webhook-id": "msg_1", "webhook-timestamp": String(at), "webhook-signature": `v1,${signature}` };
}

const check = (headers: Record<string, string>, secret = SECRET): Promise<Checked> =>
  createSignatureCheck(secret)(new Headers(headers), body, NOW);

describe("the signatures of a delivery", () => {
  it("are both good if both are right", async () => {
    const both = { "x-hub-signature": hubHeader("sha256"), ...webhookHeaders() };
    assert.deepEqual(await check(both), { hub: "good", webhook: "good", good: true });
  });

  it("§7.1 are known by any of the four methods, in either case", async () => {
    for (const method of ["sha1", "sha256", "sha384", "sha512"]) {
      assert.equal((await check({ "x-hub-signature": hubHeader(method) })).hub, "good", method);
      assert.equal((await check({ "x-hub-signature": hubHeader(method).toUpperCase() })).hub, "good", method);
    }
  });

  it("agree with the example of Standard Webhooks", async () => {
    const headers = new Headers({
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    });
    const payload = new TextEncoder().encode('{"test": 2432232314}');
    const example = createSignatureCheck("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert.equal((await example(headers, payload, 1_614_265_330_000)).webhook, "good");
  });

  it("are not trusted if one is wrong, whatever the other says", async () => {
    const wrongHub = { "x-hub-signature": hubHeader("sha256", "another"), ...webhookHeaders() };
    assert.deepEqual(await check(wrongHub), { hub: "wrong", webhook: "good", good: false });
    const wrongWebhook = { "x-hub-signature": hubHeader("sha256"), ...webhookHeaders("another") };
    assert.deepEqual(await check(wrongWebhook), { hub: "good", webhook: "wrong", good: false });
    const otherBody = { "x-hub-signature": hubHeader("sha256", SECRET, new Uint8Array(0)) };
    assert.equal((await check(otherBody)).hub, "wrong");
  });

  it("are not trusted if there is none", async () => {
    assert.deepEqual(await check({}), { hub: "missing", webhook: "missing", good: false });
  });

  it("are enough if one is good and the other missing", async () => {
    assert.equal((await check({ "x-hub-signature": hubHeader("sha256") })).good, true);
    assert.equal((await check(webhookHeaders())).good, true);
  });

  it("are stale 5 minutes off", async () => {
    const seconds = NOW / 1_000;
    for (
      const [at, verdict] of [[seconds - 300, "good"], [seconds + 300, "good"], [seconds - 301, "stale"], [
        seconds + 301,
        "stale",
      ]] as const
    ) {
      assert.equal((await check(webhookHeaders(SECRET, at))).webhook, verdict, String(at - seconds));
    }
    assert.equal((await check(webhookHeaders(SECRET, seconds - 301))).good, false);
  });

  it("may be several, of which one is ours, as while keys rotate", async () => {
    const ours = webhookHeaders();
    const signatures = `v1,${Buffer.alloc(32).toString("base64")} v1a,zzz ${ours["webhook-signature"]} v1,%%%`;
    assert.equal((await check({ ...ours, "webhook-signature": signatures })).webhook, "good");
  });

  it("that are garbage are wrong, and throw nothing", async () => {
    for (
      const hub of [
        "",
        "sha256",
        "sha256=",
        "sha256=xyz",
        "sha256=abc",
        "md5=00",
        "constructor=00",
        "sha256=00,sha256=11",
      ]
    ) {
      assert.equal((await check({ "x-hub-signature": hub })).hub, "wrong", hub);
    }
    for (const webhook of ["v1", "v1,", "v2,AAAA", ",", "v1,ÿ"]) {
      assert.equal((await check({ ...webhookHeaders(), "webhook-signature": webhook })).webhook, "wrong", webhook);
    }
  });
});
