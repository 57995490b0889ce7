// The quotas of one client behind two edges that know nothing of each other: the core counts by the token, not by the edge,
// and still knows the counts after a restart (SUBSCRIPTIONS_PER_CLIENT, TOPICS_PER_CLIENT).

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openCallbackServer } from "../support/servers/callback-server.ts";
import { withDirectory } from "../support/rigs/core-rig.ts";
import { eventually } from "../support/eventually.ts";
import { openFleet } from "../support/hub/fleet.ts";
import { post } from "../support/hub/hub-client.ts";
import { openIssuer } from "../support/servers/issuer.ts";

describe("a client's limits behind two edges", { timeout: 120_000 }, () => {
  it("hold whichever edge it goes by, and after the core was killed", () =>
    withDirectory(async (dataDir) => {
      const issuer = await openIssuer();
      await using callbacks = await openCallbackServer();
      const fleet = await openFleet({
        cores: 1,
        edges: 2,
        dataDir,
        settings: {
          TIDINGS_ACCESS: "token",
          TIDINGS_ISSUER: issuer.url,
          TIDINGS_AUDIENCE: "hub",
          TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
          TIDINGS_SUBSCRIPTIONS_PER_CLIENT: "4",
          TIDINGS_TOPICS_PER_CLIENT: "3",
        },
      });
      try {
        const bearer = async (sub: string) => ({
          authorization: `Bearer ${await issuer.token({ sub, scope: "websub:publish websub:subscribe" })}`,
        });
        const [alice, bob] = [await bearer("alice"), await bearer("bob")];
        const ask = (n: number, parameters: Record<string, string>, headers: { authorization: string }) =>
          post(fleet.hubs[n % 2]!, parameters, headers);
        const subscribe = (n: number, url: string, headers = alice) =>
          ask(n, { "hub.mode": "subscribe", "hub.topic": "topic 0", "hub.callback": url }, headers);
        const register = (n: number, headers = alice) =>
          ask(n, { "hub.mode": "register", "hub.topic": `topic ${n}` }, headers);

        const registered = await Promise.all(Array.from({ length: 12 }, (_, n) => register(n)));
        const made = registered.filter(({ status }) => status === 200).length;
        assert.equal(made, 3, registered.map(({ status }) => status).join());
        const refused = registered.find(({ status }) => status === 429)!;
        assert.match(refused.text, /^This client has 3 topics, as many as TIDINGS_TOPICS_PER_CLIENT lets it have/);
        assert.match(String(refused.headers["retry-after"]), /^\d+$/);
        assert.equal((await ask(0, { "hub.mode": "register", "hub.topic": "topic 0" }, bob)).status, 200);

        const own = Array.from({ length: 12 }, () => callbacks.callback());
        const asked = await Promise.all(own.map(({ url }, n) => subscribe(n, url)));
        assert.equal(asked.filter(({ status }) => status === 202).length, 4, asked.map(({ status }) => status).join());
        const kept = own[asked.findIndex(({ status }) => status === 202)]!;
        await kept.challenged();

        await fleet.cores[0]!.kill();
        await fleet.cores[0]!.start();
        for (const n of [0, 1]) {
          await eventually("the core to answer", async () => (await subscribe(n, kept.url)).status === 202);
          assert.equal((await subscribe(n, callbacks.callback().url)).status, 429);
          assert.equal((await ask(n, { "hub.mode": "register", "hub.topic": "one more" }, alice)).status, 429);
          assert.equal((await subscribe(n, callbacks.callback().url, bob)).status, 202);
        }
      } finally {
        await fleet.close();
        await issuer.close();
      }
    }));
});
