import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { createListener, ListenerError } from "../../client/listener.ts";
import type { Delivery, Listener } from "../../client/listener.ts";
import { serve } from "../../shared/runtime/serve.ts";
import type { Served } from "../../shared/serve.ts";
import { eventually } from "../support/eventually.ts";
import { call } from "../support/servers/http.ts";
import { freePort } from "../support/free-port.ts";
import { parameterOf } from "../support/form.ts";
import { openStandInHub } from "../support/hub/stand-in-hub.ts";
import type { StandInHub } from "../support/hub/stand-in-hub.ts";

const TOPIC = "http://topics.example/a?b=c d";
const SECRET = "listener's secret";

describe("a listener", () => {
  let hub: StandInHub;
  let served: Served;
  let listener: Listener;
  let callback: string;
  const deliveries: Delivery[] = [];
  const denials: string[] = [];
  let fails = false;

  before(async () => {
    hub = await openStandInHub();
    served = await serve({ fetch: (request) => listener.fetch(request), hostname: "127.0.0.1", port: 0 });
    callback = `${served.url}/calls?own=1&hub.topic=mine`;
    listener = createListener({
      hub: hub.url,
      topic: TOPIC,
      callback,
      secret: SECRET,
      leaseSeconds: 600,
      onDelivery: (delivery) => {
        if (fails) throw new Error("no room");
        deliveries.push(delivery);
      },
      onDenied: (reason) => void denials.push(reason),
    });
  });
  after(async () => {
    await served.close(0);
    await hub.close();
  });

  const challenge = (more: Record<string, string>) =>
    hub.challenge(callback, { "hub.mode": "subscribe", "hub.topic": TOPIC, "hub.challenge": "c1", ...more });
  const deliver = (body: string, headers: Record<string, string> = {}) => call(callback, { body, headers });
  const signed = (body: string) => ({
    "x-hub-signature": `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
  });

  it("§5.3 confirms nothing before it has asked", async () => {
    assert.equal((await challenge({})).status, 404);
    assert.equal((await challenge({ "hub.mode": "unsubscribe" })).status, 404);
  });

  it("§5.1 subscribes with its secret and lease, and learns the lease it got", async () => {
    assert.equal(await listener.subscribe(5_000), 600);
    const form = hub.requests[0]?.body.toString() ?? "";
    assert.equal(parameterOf(form, "hub.mode"), "subscribe");
    assert.equal(parameterOf(form, "hub.topic"), TOPIC);
    assert.equal(parameterOf(form, "hub.callback"), callback);
    assert.equal(parameterOf(form, "hub.secret"), SECRET);
    assert.equal(parameterOf(form, "hub.lease_seconds"), "600");
    const answer = await eventually("the answer to its challenge", () => hub.answers[0]);
    assert.equal(answer.text, "challenge-1");
  });

  it("§5.3 confirms again what it has asked for, and only that", async () => {
    assert.equal((await challenge({})).text, "c1");
    assert.equal((await challenge({ "hub.topic": "http://topics.example/other" })).status, 404);
    assert.equal((await challenge({ "hub.mode": "unsubscribe" })).status, 404);
  });

  it("§5.3 echoes no challenge outside the alphabet", async () => {
    for (const wrong of ["<script>", "", "a b", "a\nb"]) {
      const reply = await challenge({ "hub.challenge": wrong });
      assert.equal(reply.status, 404, wrong);
      assert.ok(wrong === "" || !reply.text.includes(wrong));
    }
  });

  it("§7.1 answers 204 to a delivery with a good signature, and 403 to any other", async () => {
    assert.equal((await deliver("good", signed("good"))).status, 204);
    assert.equal((await deliver("bad", signed("good"))).status, 403);
    assert.equal((await deliver("none")).status, 403);
    assert.deepEqual(deliveries.map(({ body, checked }) => [new TextDecoder().decode(body), checked.good]), [
      ["good", true],
      ["bad", false],
      ["none", false],
    ]);
  });

  it("answers 500 to what its owner could not take, so that the hub tries again", async () => {
    fails = true;
    assert.equal((await deliver("good", signed("good"))).status, 500);
    fails = false;
  });

  it("answers nothing on other paths and methods", async () => {
    assert.equal((await call(`${served.url}/elsewhere`)).status, 404);
    assert.equal((await call(callback, { method: "PUT" })).status, 405);
  });

  it("§5.2 passes on a denied notice about its topic alone, and confirms no more", async () => {
    const denied = { "hub.mode": "denied", "hub.reason": "topic deregistered" };
    assert.equal((await hub.challenge(callback, { ...denied, "hub.topic": "another" })).status, 404);
    assert.deepEqual(denials, []);
    assert.equal((await hub.challenge(callback, { ...denied, "hub.topic": TOPIC })).status, 204);
    assert.deepEqual(denials, ["topic deregistered"]);
    assert.equal((await challenge({})).status, 404);
  });

  it("§5.1 unsubscribes, and confirms that too", async () => {
    await listener.unsubscribe(5_000);
    const form = hub.requests.at(-1)?.body.toString() ?? "";
    assert.equal(parameterOf(form, "hub.mode"), "unsubscribe");
    const answer = await eventually("the answer to its challenge", () => hub.answers[1]);
    assert.equal(answer.status, 200);
    assert.equal((await challenge({})).status, 404);
  });

  it("says in one sentence that the hub refused, did not ask, denied, or cannot be reached", async () => {
    const refusals = (asking: Promise<unknown>, code: string, sentence: RegExp) =>
      assert.rejects(asking, (error) => {
        assert.ok(error instanceof ListenerError);
        assert.equal(error.code, code);
        assert.match(error.message, sentence);
        return true;
      });
    hub.manners = { status: 400, text: "hub.topic is missing.\n", asks: false };
    await refusals(listener.subscribe(5_000), "refused", /refused the subscribe with 400: hub\.topic is missing\.$/);
    hub.manners = { status: 202, text: "", asks: false };
    await refusals(listener.subscribe(100), "unverified", /did not verify the subscribe at .* within 0\.1 s/);
    const denying = refusals(listener.subscribe(5_000), "denied", /denied the subscription: no such topic/);
    await hub.challenge(callback, { "hub.mode": "denied", "hub.topic": TOPIC, "hub.reason": "no such topic" });
    await denying;
    const gone = `http://127.0.0.1:${await freePort()}/hub`;
    const lost = createListener({ hub: gone, topic: TOPIC, callback, secret: SECRET, onDelivery: () => {} });
    await refusals(lost.subscribe(5_000), "unreachable", /cannot be reached \(.*(?:ECONNREFUSED|Connection refused)/);
  });
});
