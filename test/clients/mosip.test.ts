// MOSIP's unmodified Java client against this hub: in `open`, and with MOSIP's policy and its token in a cookie. Its own filter answers the
// challenge, and its own aspect checks X-Hub-Signature.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { askSigned } from "../support/hub/missed-client.ts";
import { call } from "../support/servers/http.ts";
import { type Issuer, openIssuer } from "../support/servers/issuer.ts";
import { clientMissing, type FailedContent, type MosipClient, openMosipClient, VERSIONS } from "./mosip/client.ts";

const SECRET = "a subscriber's secret";
const ALWAYS = "2020-01-01T00:00:00.000Z";

const missing = Object.fromEntries(
  await Promise.all(VERSIONS.map(async (version) => [version, await clientMissing(version)] as const)),
);
for (const [version, why] of Object.entries(missing)) {
  if (why !== undefined) console.error(`SKIPPED: third-party client MOSIP ${version}: ${why}`);
}

describe("third-party client: MOSIP's kernel-websubclient-api", { concurrency: 3 }, () => {
  let issuer: Issuer;
  let open: OwnHub;
  let guarded: OwnHub;
  before(async () => {
    if (VERSIONS.every((version) => missing[version] !== undefined)) return;
    issuer = await openIssuer("/auth/realms/mosip");
    [open, guarded] = await Promise.all([
      openOwnHub({ settings: { TIDINGS_ACCESS: "open" } }),
      openOwnHub({
        settings: {
          TIDINGS_ACCESS: "token",
          TIDINGS_POLICY: "mosip",
          TIDINGS_ISSUER: issuer.url,
          TIDINGS_AUDIENCE: "mosip-partner-client",
          TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
        },
      }),
    ]);
  });
  after(async () => {
    await Promise.all([open?.close(), guarded?.close(), issuer?.close()]);
  });

  const receivedBy = async (client: MosipClient) => (await client.command<{ bodies: string[] }>("received")).bodies;
  const until = (client: MosipClient, bodies: readonly string[]) =>
    eventually(
      `${bodies.join()} at MOSIP's subscriber`,
      async () => {
        const received = await receivedBy(client);
        return received.length >= bodies.length && (assert.deepEqual(received, bodies), true);
      },
    );
  const stateIs = (hub: OwnHub, topic: string, callback: string, wanted: string) =>
    eventually(`${wanted} of ${topic}`, async () => {
      const { status, text } = await askSigned(hub, "/subscriptions", { topic, callback }, SECRET);
      return status === 200 && (JSON.parse(text) as { state: string }).state === wanted;
    });

  /** The life of a subscription, as MOSIP's services live it. */
  async function live(hub: OwnHub, topic: string, client: MosipClient): Promise<void> {
    const failed = async (...words: readonly (string | number)[]) =>
      (await client.command<FailedContent>("failed", ...words.map(String))).failedcontents;
    await client.command("register");
    assert.deepEqual(await client.command("subscribe"), { hubURL: hub.url, topic });
    await stateIs(hub, topic, client.callback, "active");
    await client.command("publish", '{"n":1}');
    await client.command("publishObject", "two");
    await until(client, ['{"n":1}', '{"event":"two"}']);
    // There is nothing that an update notice could fetch.
    await assert.rejects(client.command("notify"), /KER-WSC-104.*hub\.topic/);
    // MOSIP's aspect takes nothing that this secret has not signed.
    for (const signature of ["sha256=00", `sha256=${"0".repeat(64)}`]) {
      const headers = { "content-type": "application/json", "x-hub-signature": signature };
      assert.equal((await call(client.callback, { body: '{"n":0}', headers })).status, 500);
    }
    await client.command("failing", "true");
    const bodies = ['{"n":3}', '{"event":"éλ"}', "[5]"];
    await client.command("publish", bodies[0]!);
    await client.command("publishObject", "éλ");
    await client.command("publish", bodies[2]!);
    const rows = await failed(ALWAYS, 0, 0);
    assert.deepEqual(rows.map(({ message }) => message), bodies);
    for (const { timestamp } of rows) assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(await failed(ALWAYS, 1, 1), rows.slice(1, 2));
    assert.deepEqual(await failed("2020-01-01T00:00:00.123456789+05:30", 2, 10), rows.slice(2));
    // The client makes 0 of a negative page.
    assert.deepEqual(await failed(rows[0]!.timestamp, -1, 1_000), rows);
    assert.deepEqual(await failed(ALWAYS, 3, 1), []);
    await assert.rejects(client.command("failed", ALWAYS, "0", "5000"), /400/);
    await assert.rejects(client.command("failed", "2020-01-01T00:00:00", "0", "1"), /400/);
    await assert.rejects(client.command("failed", ALWAYS, "0", "1", "another secret"), /401/);
    await client.command("failing", "false");
    await until(client, ['{"n":1}', '{"event":"two"}', ...bodies]);
    await eventually("no failed content", async () => (await failed(ALWAYS, 0, 0)).length === 0);
    assert.deepEqual(await client.command("unsubscribe"), { hubURL: hub.url, topic });
    await stateIs(hub, topic, client.callback, "unsubscribed");
    await client.command("publish", '{"n":6}');
    await client.command("unregister");
    await assert.rejects(client.command("failed", ALWAYS, "0", "1"), /410/);
    assert.equal((await receivedBy(client)).length, 2 + bodies.length);
  }

  for (const version of VERSIONS) {
    const title = `${version}: register, subscribe, verify, publish, deliver, failed content, unsubscribe, unregister`;
    it(title, { skip: missing[version] ?? false, timeout: 240_000 }, async () => {
      const topic = `partner-${version}/CREDENTIAL_ISSUED`;
      const failed = `${open.base}/hub/websub/sync/failedmessage`;
      await using client = await openMosipClient(version, { hub: open.url, failed, topic, secret: SECRET });
      await live(open, topic, client);
    });
  }

  it("1.2.0.1 under MOSIP's policy, with Keycloak's token in a cookie", {
    skip: missing["1.2.0.1"] ?? false,
    timeout: 240_000,
  }, async () => {
    const topic = "CA_CERTIFICATE_UPLOADED";
    // As MOSIP's sites without a gateway have it.
    const failed = `${guarded.base}/websub/sync/failedmessage`;
    await using client = await openMosipClient("1.2.0.1", { hub: guarded.url, failed, topic, secret: SECRET });
    await assert.rejects(client.command("register"), /KER-WSC-101/);
    const token = (...roles: readonly string[]) =>
      issuer.token({
        aud: "account",
        azp: "mosip-partner-client",
        realm_access: { roles: [...roles, "default-roles-mosip"] },
        preferred_username: "service-account-mpartner",
      });
    await client.command("token", await token(`PUBLISH_OTHER_GENERAL`));
    await assert.rejects(client.command("register"), new RegExp(`PUBLISH_${topic}_GENERAL`));
    await client.command("token", await token(`PUBLISH_${topic}_GENERAL`, `SUBSCRIBE_${topic}_GENERAL`));
    await live(guarded, topic, client);
  });
});
