import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createOutboundGuard } from "../../../shared/outbound/guard.ts";
import type { OutboundAnswer } from "../../../shared/outbound/outbound.ts";
import type { Names } from "../../../shared/runtime/names/names.ts";
import { FETCH_BOUNDS } from "../../../core/effects/fetch-places.ts";
import { VERIFICATION_BOUNDS } from "../../../shared/outbound/verification-turns.ts";
import { eventually } from "../../support/eventually.ts";
import { createOutbound } from "../../../shared/runtime/outbound.ts";
import { outboundContract } from "../../contract/outbound.ts";
import { answer, hang } from "../../support/servers/answers.ts";
import { openRecordingServer } from "../../support/servers/recording-server.ts";
import type { Recorded } from "../../support/servers/recording-server.ts";

outboundContract("undici", { skip: false, open: createOutbound });

const GUARD = createOutboundGuard(["127.0.0.0/8", "::1/128"]);

/** Names of a test's own: each has these addresses, and every question is written down. */
function ownNames(known: Record<string, readonly string[]>): { names: Names; asked: string[] } {
  const asked: string[] = [];
  const lookUp = (name: string) => {
    asked.push(name);
    return Promise.resolve({ addresses: known[name] ?? [] });
  };
  return { names: { lookUp }, asked };
}

describe("the connections of an outbound client", () => {
  it("are waited for inside the deadline, and nothing is sent late", async () => {
    await using server = await openRecordingServer();
    const late: Recorded[] = [];
    server.route("/slow", hang());
    server.route("/fast", answer(200));
    server.route("/late", (request, response) => {
      late.push(request);
      response.end();
    });
    const one = createOutbound({ guard: GUARD, userAgent: "t", connectionsPerOrigin: 1 });
    const codeOf = (result: OutboundAnswer) => result.kind === "failed" ? result.code : result.status;
    const call = (path: string, deadlineMs: number) =>
      one.call({ path: "fetch", method: "GET", url: `${server.origin}${path}`, deadlineMs, maxBytes: 10 });
    const [first, second] = await Promise.all([call("/slow", 300), call("/late", 100)]);
    assert.deepEqual([codeOf(first), codeOf(second)], ["timeout", "timeout"]);
    // The connection is free again now; what gave up waiting does not go out.
    assert.equal(codeOf(await call("/fast", 2_000)), 200);
    assert.equal(late.length, 0);
    await one.close();
  });
});

describe("calls that hang", () => {
  it("leave others a connection to the same origin, as many as the shares allow", async () => {
    await using server = await openRecordingServer();
    let hanging = 0;
    server.route("/hang", () => void hanging++);
    server.route("/", answer(200));
    const outbound = createOutbound({ guard: GUARD, userAgent: "t" });
    const call = (path: string, deadlineMs: number) =>
      outbound.call({ path: "verification", method: "GET", url: `${server.origin}${path}`, deadlineMs, maxBytes: 10 });
    const most = Object.values(VERIFICATION_BOUNDS.perHost!).reduce((sum, places) => sum + places) +
      Object.values(FETCH_BOUNDS.perHost!).reduce((sum, places) => sum + places);
    const stuck = Array.from({ length: most }, () => call("/hang", 60_000));
    await eventually("all of them hang", () => hanging === most);
    const answered = await call("/", 10_000);
    assert.equal(answered.kind === "answer" && answered.status, 200);
    await outbound.close();
    await Promise.all(stuck);
  });
});

describe("dialling under the guard", () => {
  it("refuses a name if any of its addresses is forbidden, before anything is sent", async () => {
    await using server = await openRecordingServer();
    const requests: Recorded[] = [];
    server.route("/", (request, response) => {
      requests.push(request);
      response.end("reached");
    });
    const { names, asked } = ownNames({
      "rebind.example": ["127.0.0.1"],
      "mixed.example": ["8.8.8.8", "127.0.0.1"],
      "wrapped.example": ["::ffff:10.0.0.1"],
      "nobody.example": [],
    });
    const strict = createOutbound({ guard: createOutboundGuard([]), userAgent: "t", names });
    const code = async (host: string) => {
      const url = `http://${host}:${server.port}/`;
      const result = await strict.call({ path: "fetch", method: "GET", url, deadlineMs: 5_000, maxBytes: 100 });
      return result.kind === "failed" && result.code;
    };
    assert.equal(await code("rebind.example"), "forbidden");
    assert.equal(await code("mixed.example"), "forbidden");
    assert.equal(await code("wrapped.example"), "forbidden");
    assert.equal(await code("nobody.example"), "network");
    assert.equal(await code("127.0.0.1"), "forbidden");
    assert.equal(await code("localhost"), "forbidden");
    assert.equal(requests.length, 0);
    assert.deepEqual(asked, ["rebind.example", "mixed.example", "wrapped.example", "nobody.example"]);
    await strict.close();
  });

  it("dials the very address that was checked: a name is asked for once a connection", async () => {
    await using server = await openRecordingServer();
    server.route("/", (request, response) => void response.end(request.headers.host));
    // The second answer is what a rebinding attacker would give to a second lookup.
    let questions = 0;
    const lookUp = () => Promise.resolve({ addresses: [++questions === 1 ? "127.0.0.1" : "10.0.0.1"] });
    const names = { lookUp };
    const outbound = createOutbound({ guard: GUARD, userAgent: "t", names });
    const url = `http://rebind.example:${server.port}/`;
    const result = await outbound.call({ path: "fetch", method: "GET", url, deadlineMs: 5_000, maxBytes: 100 });
    assert.ok(result.kind === "answer", JSON.stringify(result));
    assert.equal(new TextDecoder().decode(result.body), `rebind.example:${server.port}`);
    assert.equal(questions, 1);
    await outbound.close();
  });
});
