// MOSIP's unmodified Java client against this hub: in `open`, and with MOSIP's policy and its token in a cookie. Its own filter answers the
// challenge, and its own aspect checks X-Hub-Signature.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "../support/eventually.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { askSigned } from "../support/hub/missed-client.ts";
import { call } from "../support/servers/http.ts";
import { type Issuer, openIssuer } from "../support/servers/issuer.ts";
import {
  clientMissing,
  type FailedContent,
  type MosipClient,
  openMosipClient,
  type Version,
  VERSIONS,
} from "./mosip/client.ts";

const SECRET = "a subscriber's secret";
const ALWAYS = "2020-01-01T00:00:00.000Z";

/** What a version lives through, and where. */
interface Life {
  /** As the table of clients has it. */
  readonly name: string;
  readonly version: Version;
  readonly hub: () => OwnHub;
  readonly topic: string;
  readonly failedPath: string;
  /** Makes a token with these roles; undefined where none is asked for. */
  readonly token?: (...roles: readonly string[]) => Promise<string>;
}

const missing = new Map(
  await Promise.all(VERSIONS.map(async (version) => [version, await clientMissing(version)] as const)),
);
for (const [version, why] of missing) {
  if (why !== undefined) console.error(`SKIPPED: third-party client MOSIP ${version}: ${why}`);
}

// Two at once: each is a JVM that wants a core while it starts.
describe("MOSIP's kernel-websubclient-api", { concurrency: 2 }, () => {
  let [issuer, open, guarded]: [Issuer?, OwnHub?, OwnHub?] = [];
  before(async () => {
    if (VERSIONS.every((version) => missing.get(version) !== undefined)) return;
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

  for (const version of VERSIONS) {
    live({
      name: `MOSIP ${version}`,
      version,
      hub: () => open!,
      topic: `partner-${version}/CREDENTIAL_ISSUED`,
      failedPath: "/hub/websub/sync/failedmessage",
    });
  }
  live({
    name: "MOSIP 1.2.0.1, POLICY=mosip",
    version: "1.2.0.1",
    hub: () => guarded!,
    topic: "CA_CERTIFICATE_UPLOADED",
    failedPath: "/websub/sync/failedmessage",
    token: (...roles) =>
      issuer!.token({
        aud: "account",
        azp: "mosip-partner-client",
        realm_access: { roles: [...roles, "default-roles-mosip"] },
        preferred_username: "service-account-mpartner",
      }),
  });
});

/** Declares the life of a subscription, as MOSIP's services live it. */
function live({ name, version, hub, topic, failedPath, token }: Life): void {
  const why = missing.get(version);
  describe(name, { concurrency: 1, timeout: 240_000 }, () => {
    let client: MosipClient | undefined;
    before(async () => {
      if (why !== undefined) return;
      const { url, base } = hub();
      client = await openMosipClient(version, { hub: url, failed: base + failedPath, topic, secret: SECRET });
    });
    after(async () => await client?.[Symbol.asyncDispose]());
    const does = (operation: string, run: (client: MosipClient) => Promise<void>) => {
      const skip = why === undefined ? false : `third-party client: ${why}`;
      it(`${name}: ${operation}`, { skip }, () => run(client!));
    };
    const failed = async (...words: readonly (string | number)[]) =>
      (await client!.command<FailedContent>("failed", ...words.map(String))).failedcontents;

    does("register: the hub takes its topic", async ({ command }) => {
      if (token !== undefined) {
        await assert.rejects(command("register"), /KER-WSC-101/);
        await command("token", await token("PUBLISH_OTHER_GENERAL"));
        await assert.rejects(command("register"), new RegExp(`PUBLISH_${topic}_GENERAL`));
        await command("token", await token(`PUBLISH_${topic}_GENERAL`, `SUBSCRIBE_${topic}_GENERAL`));
      }
      await command("register");
    });

    does("subscribe: the hub accepts its request", async ({ command }) => {
      assert.deepEqual(await command("subscribe"), { hubURL: hub().url, topic });
    });

    does("verify: its filter confirms the topic of its annotation", ({ callback }) => stateIs(callback, "active"));

    does("publish: text and an object are taken, an update notice is not", async ({ command }) => {
      await command("publish", '{"n":1}');
      await command("publishObject", "two");
      // There is nothing that the hub could fetch.
      await assert.rejects(command("notify"), /KER-WSC-104.*hub\.topic/);
    });

    does("deliver: its aspect finds the signature right, and takes no other", async (client) => {
      await received(client, ['{"n":1}', '{"event":"two"}']);
      for (const signature of ["sha256=00", `sha256=${"0".repeat(64)}`]) {
        const headers = { "content-type": "application/json", "x-hub-signature": signature };
        assert.equal((await call(client.callback, { body: '{"n":0}', headers })).status, 500);
      }
    });

    does("failed content: it gets what it missed, page by page, and none that it has", async (client) => {
      const { command } = client;
      await command("failing", "true");
      const bodies = ['{"n":3}', '{"event":"éλ"}', "[5]"];
      await command("publish", bodies[0]!);
      await command("publishObject", "éλ");
      await command("publish", bodies[2]!);
      const rows = await failed(ALWAYS, 0, 0);
      assert.deepEqual(rows.map(({ message }) => message), bodies);
      for (const { timestamp } of rows) assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.deepEqual(await failed(ALWAYS, 1, 1), rows.slice(1, 2));
      assert.deepEqual(await failed("2020-01-01T00:00:00.123456789+05:30", 2, 10), rows.slice(2));
      // The client makes 0 of a negative page.
      assert.deepEqual(await failed(rows[0]!.timestamp, -1, 1_000), rows);
      assert.deepEqual(await failed(ALWAYS, 3, 1), []);
      await assert.rejects(command("failed", ALWAYS, "0", "5000"), /400/);
      await assert.rejects(command("failed", "2020-01-01T00:00:00", "0", "1"), /400/);
      await assert.rejects(command("failed", ALWAYS, "0", "1", "another secret"), /401/);
      await command("failing", "false");
      await received(client, ['{"n":1}', '{"event":"two"}', ...bodies]);
      await eventually("no failed content", async () => (await failed(ALWAYS, 0, 0)).length === 0);
    });

    does("unsubscribe: it confirms, and gets nothing more", async (client) => {
      assert.deepEqual(await client.command("unsubscribe"), { hubURL: hub().url, topic });
      await stateIs(client.callback, "unsubscribed");
      await client.command("publish", '{"n":6}');
      await assert.rejects(failed(ALWAYS, 0, 1), /410/);
    });

    does("unregister: the hub ends its topic", async (client) => {
      await client.command("unregister");
      assert.equal((await bodiesOf(client)).length, 5);
    });

    const stateIs = async (callback: string, wanted: string) => {
      await eventually(`${wanted} of ${topic}`, async () => {
        const { status, text } = await askSigned(hub(), "/subscriptions", { topic, callback }, SECRET);
        return status === 200 && (JSON.parse(text) as { state: string }).state === wanted;
      });
    };
  });
}

const bodiesOf = async (client: MosipClient) => (await client.command<{ bodies: string[] }>("received")).bodies;

/** Waits until the client has these bodies, and no others. */
async function received(client: MosipClient, bodies: readonly string[]): Promise<void> {
  const seen = await eventually(`${bodies.join()} at MOSIP's subscriber`, async () => {
    const seen = await bodiesOf(client);
    return seen.length >= bodies.length && seen;
  });
  assert.deepEqual(seen, bodies);
}
