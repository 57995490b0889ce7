// Requests of one isolate share work, and workerd drops the work of a request whose client has left: against real workerd, with clients
// that break off.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { openWorkerEdge, type WorkerEdge } from "../../support/rigs/worker-edge.ts";
import { call } from "../../support/servers/http.ts";
import { openIssuer } from "../../support/servers/issuer.ts";

const TARGET = "/hub?hub.mode=publish&hub.topic=t";
const publish = ({ url }: WorkerEdge, body: string | Uint8Array = "x", headers: Record<string, string> = {}) =>
  call(`${url}${TARGET}`, { method: "POST", body, headers: { "content-type": "text/plain", ...headers } });
const head = (length: number, more = "") =>
  `POST ${TARGET} HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: ${length}${more}`;

/** A gate: `wait` resolves once it is opened. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { wait: () => promise, open: resolve };
}

describe("work that requests of a Worker share", { timeout: 60_000 }, () => {
  it("one session is opened for all requests that come at once", async () => {
    await using edge = await openWorkerEdge();
    const { wait, open } = gate();
    let sessions = 0;
    edge.core.onSession = () => (sessions++, wait());
    const answers = Array.from({ length: 50 }, () => publish(edge));
    await eventually("the session to be asked for", () => sessions > 0);
    open();
    assert.deepEqual(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]));
    assert.equal(sessions, 1);
  });

  it("a session goes on to open when the client of the request that opens it has left", async () => {
    await using edge = await openWorkerEdge();
    const { wait, open } = gate();
    let sessions = 0;
    edge.core.onSession = () => (sessions++, wait());
    const leave = await edge.begin(head(1), Buffer.from("x"));
    await eventually("the session to be asked for", () => sessions > 0);
    const answers = Array.from({ length: 20 }, () => publish(edge));
    await eventually("the others to wait", async () => await edge.metric("tidings_core_requests{") === 21);
    leave();
    open();
    assert.deepEqual(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]));
    assert.equal(sessions, 1);
    assert.equal((await publish(edge)).status, 200);
  });

  it("an issuer's keys are fetched for all when the client of the request that fetches them has left", async () => {
    const issuer = await openIssuer();
    await using edge = await openWorkerEdge({
      TIDINGS_ACCESS: "token",
      TIDINGS_ISSUER: issuer.url,
      TIDINGS_AUDIENCE: "hub",
    });
    try {
      await eventually("the keys of the start", () => issuer.asked.keys.length === 1);
      // A key that the isolate does not know.
      await issuer.addKey();
      const { wait, open } = gate();
      const answerKeys = issuer.onKeys;
      issuer.onKeys = async (...call) => {
        await wait();
        return answerKeys(...call);
      };
      const authorization = `Bearer ${await issuer.token({ scope: "websub:publish" })}`;
      const leave = await edge.begin(head(1, `\r\nAuthorization: ${authorization}`), Buffer.from("x"));
      await eventually("the keys to be asked for", () => issuer.asked.keys.length > 1);
      // One that carries the same token and one that carries another: each waits for something else.
      const other = `Bearer ${await issuer.token({ scope: "websub:publish", sub: "other" })}`;
      const answers = [authorization, other].map((authorization) => publish(edge, "x", { authorization }));
      leave();
      open();
      assert.deepEqual((await Promise.all(answers)).map(({ status }) => status), [200, 200]);
      assert.ok(issuer.asked.keys.length <= 3, "for all who waited at once");
    } finally {
      await issuer.close();
    }
  });

  it("places among the requests to the core come back from clients that have left", async () => {
    await using edge = await openWorkerEdge();
    const { wait, open } = gate();
    edge.core.onContent = async () => {
      await wait();
      return null;
    };
    const leaves = await Promise.all(Array.from({ length: 100 }, () => edge.begin(head(1), Buffer.from("x"))));
    await eventually("all to wait for the core", async () => await edge.metric("tidings_core_requests{") === 100);
    for (const leave of leaves) leave();
    open();
    await eventually("their places", async () => await edge.metric("tidings_core_requests{") === 0);
    assert.equal((await publish(edge)).status, 200);
  });

  it("room for bodies comes back from clients that break off within them", async () => {
    await using edge = await openWorkerEdge();
    // 8 MiB are for all bodies, and half of them for one address. These take 4 MB of its 4.19 MB, so that none of them waits for room.
    const leaves = await Promise.all(
      Array.from({ length: 8 }, () => edge.begin(head(1_000_000), new Uint8Array(500_000))),
    );
    await eventually(
      "a body without room",
      async () => (await publish(edge, new Uint8Array(900_000))).status === 503,
    );
    for (const leave of leaves) leave();
    await eventually("room", async () => (await publish(edge, new Uint8Array(900_000))).status === 200);
  });
});
