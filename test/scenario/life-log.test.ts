// What the log of a hub says of whole lives, at the level of production. It takes some seconds: it waits for a lease to end and for a
// lane to be parked, and kills the core.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { answer } from "../support/servers/answers.ts";
import { type Callback, type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";
import { eventually } from "../support/eventually.ts";
import { encodeForm } from "../support/form.ts";
import { call } from "../support/servers/http.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { post, published, request, statusUntil, subscribed, unsubscribed } from "../support/hub/hub-client.ts";

const MARK = "marked-s3cret";
const SECRETS = { "hub.secret": MARK, "hub.verify_token": `${MARK}-token` };
const TOPIC = "https://example.com/feed?a=1&b=2";
const ENDING = "an ending topic";

const SETTINGS = {
  TIDINGS_LOG_LEVEL: "info",
  TIDINGS_PARK_AFTER: "500ms",
  TIDINGS_PROBE_INTERVAL: "300ms",
  TIDINGS_DEAD_LETTER_ATTEMPTS: "1",
};

interface Line {
  readonly level: string;
  readonly message: string;
  readonly event?: string;
  readonly topic?: string;
  readonly callback?: string;
  readonly [name: string]: unknown;
}

describe("the log of whole lives", { timeout: 60_000 }, () => {
  let hub: OwnHub;
  let callbacks: CallbackServer;
  let output = "";
  const lines = (): Line[] =>
    output.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line);
  const said = (callback: Callback) =>
    lines().filter((line) => line.callback === callback.url && line.event !== undefined);
  const saidOf = (callback: Callback, event: string) =>
    eventually(`the line "${event}"`, () => said(callback).find((line) => line.event === event), {
      seen: () => output,
    });

  before(async () => {
    callbacks = await openCallbackServer();
    hub = await openOwnHub({ settings: SETTINGS, onOutput: (text) => void (output += text) });
  });
  after(async () => {
    await hub?.close();
    await callbacks?.close();
  });

  it("says each event once, with topic and callback in full, and no secret, over a kill of the core", async () => {
    const named = () => callbacks.callback({ query: "q=%20x&b" });
    const [well, no, short, failing, gone, ending] = [named(), named(), named(), named(), named(), named()];
    no.onChallenge = answer(404);
    failing.onDelivery = answer(500);
    gone.onDelivery = answer(410);
    await subscribed(hub, TOPIC, well, SECRETS);
    await request(hub, "subscribe", TOPIC, no.url, SECRETS);
    await subscribed(hub, ENDING, short, { ...SECRETS, "hub.lease_seconds": "1" });
    await subscribed(hub, TOPIC, failing, SECRETS);
    await subscribed(hub, TOPIC, gone, SECRETS);
    await subscribed(hub, ENDING, ending, SECRETS);
    await published(hub, TOPIC, "first");
    const query = encodeForm({ topic: TOPIC, callback: well.url });
    await call(`${hub.base}/messages?${query}`, {
      headers: {
        "x-subscriber-timestamp": String(Math.floor(Date.now() / 1_000)),
        "x-subscriber-signature": `v1=${MARK}`,
        authorization: `Bearer ${MARK}`,
      },
    });
    await subscribed(hub, TOPIC, well, { ...SECRETS, "hub.secret": `${MARK}-new` });
    await saidOf(failing, "parked");
    failing.onDelivery = answer(204);
    await saidOf(failing, "recovered");
    await saidOf(short, "expired");
    well.onDelivery = answer(400);
    const letter = await published(hub, TOPIC, "refused");
    assert.equal((await saidOf(well, "dead letter"))["messageId"], letter);
    await post(hub, { "hub.mode": "deregister", "hub.topic": ENDING });
    await saidOf(ending, "deregistered");
    await unsubscribed(hub, TOPIC, well);
    await saidOf(well, "unsubscribed");

    // What is known already is not said again.
    failing.onDelivery = answer(500);
    await published(hub, TOPIC, "second");
    await eventually("parked again", () => said(failing).filter(({ event }) => event === "parked").length === 2);
    await statusUntil(hub, TOPIC, failing.url, "parked", ({ state }) => state === "parked");
    await hub.stop("core");
    await hub.start("core");
    await hub.kill("core");
    await hub.start("core");
    failing.onDelivery = answer(204);
    await eventually("recovered again", () => said(failing).filter(({ event }) => event === "recovered").length === 2);

    const events = (callback: Callback) => said(callback).map(({ event }) => event);
    assert.deepEqual(events(well), ["verified", "renewed", "dead letter", "unsubscribed"]);
    assert.deepEqual(events(no), ["unverified"]);
    assert.deepEqual(events(short).slice(0, 2), ["verified", "expired"]);
    assert.deepEqual(events(failing), ["verified", "parked", "recovered", "parked", "recovered"]);
    assert.deepEqual(events(gone), ["verified", "gone"]);
    assert.deepEqual(events(ending), ["verified", "deregistered"]);
    const [why] = said(no);
    assert.equal(why!.message, `"${no.url}" did not confirm its "subscribe" of "${TOPIC}": "status 404"`);
    assert.equal(why!.topic, TOPIC);
    assert.ok([...said(well), ...said(failing)].every(({ level }) => level === "INFO"));
    assert.doesNotMatch(output, new RegExp(MARK));
    for (const callback of [well, no, short, failing, gone, ending]) {
      const elsewhere = lines().filter((line) => line.message.includes(callback.url) && line.event === undefined);
      assert.deepEqual(elsewhere, [], "no other place says it");
    }
  });
});
