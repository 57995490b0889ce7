// Seeded, so that what fails once fails again.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { HubError } from "../../edge/answers/hub-error.ts";
import { parseQuery } from "../../edge/syntax/form.ts";
import { parseHubRequest } from "../../edge/syntax/hub-request.ts";
import { LOOPBACK_GUARD, openEdge } from "../support/rigs/edge.ts";
import type { OwnEdge } from "../support/rigs/edge.ts";
import { openFakeCore } from "../support/rigs/fake-core.ts";
import type { FakeCore } from "../support/rigs/fake-core.ts";
import { RULES } from "../support/rigs/lease-rules.ts";
import { exchangeRaw } from "../support/servers/raw-http.ts";

const SEED = 20_261_121;

/** Names and values that come close to what means something, and text that does not. */
const name = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "hub.mode",
      "hub.topic",
      "hub.url",
      "hub.callback",
      "hub.lease_seconds",
      "hub.secret",
      "hub.verify_token",
      "hub.verify",
      "hub.start",
      "hub.concurrency",
      "hub%2Emode",
      "hub.foo",
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
);
const value = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      "subscribe",
      "unsubscribe",
      "publish",
      "register",
      "deregister",
      "unregister",
      "http%3A%2F%2F127.0.0.1%3A9999%2Fa",
      "http://127.0.0.1:9999/?a=b",
      "https://[::1]:9999/",
      "partner/EVENT",
      "60",
      "0",
      "-1",
      "latest",
      "earliest",
      "2026-01-01T00:00:00Z",
      "%",
      "%00",
      "%ED%A0%80",
      "%C3%28",
      "",
    ),
  },
  { weight: 1, arbitrary: fc.webUrl({ withFragments: true, withQueryParameters: true }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom("x", "%", "+", "é", "\0", "😀"), maxLength: 300 }) },
);
const parameters = fc.array(fc.tuple(name, value, fc.constantFrom("=", "=", "=", "", "==")), { maxLength: 8 })
  .map((pairs) => pairs.map((pair) => `${pair[0]}${pair[2]}${pair[1]}`).join("&"));
const wellFormed = fc.tuple(
  fc.constantFrom("subscribe", "unsubscribe", "publish", "register", "deregister", "unregister"),
  parameters,
).map(([mode, rest]) =>
  `hub.mode=${mode}&hub.topic=http://127.0.0.1:9999/&hub.callback=http://127.0.0.1:9999/&${rest}`
);
const text = fc.oneof(parameters, wellFormed, fc.constant(""));
const body = fc.oneof(text.map((form) => Buffer.from(form)), fc.uint8Array({ maxLength: 200 }));
const contentType = fc.oneof(
  { weight: 4, arbitrary: fc.constant("application/x-www-form-urlencoded") },
  fc.constantFrom(null, "application/json", "Application/X-WWW-Form-URLEncoded;charset=x", "a/b; c", ";", "\u00ff"),
);
const publisher = fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, fc.constantFrom("publish", "event", "other"));

describe("fuzzing", () => {
  it("the parser takes 20,000 inputs and always yields a request or a sentence", () => {
    const rules = { ...RULES, guard: LOOPBACK_GUARD };
    const kinds = new Map<string, number>();
    const property = fc.property(text, body, contentType, publisher, (query, bytes, type, header) => {
      let kind: string;
      try {
        kind =
          parseHubRequest({ query: parseQuery(query), contentType: type, publisher: header, body: bytes }, rules).kind;
      } catch (error) {
        assert.ok(error instanceof HubError, String(error));
        assert.match(error.message, /^[^\r\n]{10,300}\.$/);
        kind = "refused";
      }
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    });
    fc.assert(property, { seed: SEED, numRuns: 20_000 });
    // It reached every row, or it would prove little.
    for (const kind of ["subscribe", "unsubscribe", "register", "deregister", "ping", "content", "refused"]) {
      assert.ok((kinds.get(kind) ?? 0) > 50, `${kind}: ${kinds.get(kind)}`);
    }
  });

  describe("the endpoint", () => {
    let core: FakeCore;
    let edge: OwnEdge;
    before(async () => {
      core = await openFakeCore();
      edge = await openEdge([core.origin]);
    });
    after(async () => {
      await edge.close();
      await core.close();
    });

    it("takes 1,000 requests and answers each with one of its own statuses", async () => {
      const ALLOWED = [200, 202, 204, 400, 404, 405, 413, 431];
      const statuses = new Map<number, number>();
      const method = fc.oneof(
        { weight: 9, arbitrary: fc.constant("POST") },
        fc.constantFrom("GET", "PUT", "HEAD", "X"),
      );
      const path = fc.oneof({ weight: 9, arbitrary: fc.constantFrom("/hub", "/", "/hub/") }, fc.webPath());
      const extra = fc.array(
        fc.tuple(
          fc.constantFrom("ce-x", "traceparent", "accept", "x-hub-messageid", "content-encoding", "cookie"),
          fc.string({ unit: fc.constantFrom("a", "0", "-", ";", "=", "\u00ff", " "), maxLength: 80 }),
        ),
        { maxLength: 3 },
      );
      const inputs = fc.tuple(method, path, text, body, contentType, publisher, extra);
      await fc.assert(
        fc.asyncProperty(inputs, async ([verb, where, query, bytes, type, header, more]) => {
          const lines = [
            `${verb} ${where}${query === "" ? "" : `?${encodeURI(query.toWellFormed())}`} HTTP/1.1`,
            "Host: h",
            "Connection: close",
            `Content-Length: ${bytes.length}`,
            ...(type === null ? [] : [`Content-Type: ${type}`]),
            ...(header === null ? [] : [`X-Ballerina-Publisher: ${header}`]),
            ...more.map((pair) => pair.join(": ")),
          ];
          const request = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), bytes]);
          const { status, head } = await exchangeRaw(edge.port, request, { untilClosed: true });
          assert.ok(ALLOWED.includes(status), `${status}: ${head}`);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }),
        { seed: SEED, numRuns: 1_000 },
      );
      for (const status of [200, 202, 204, 400, 405]) assert.ok(statuses.has(status), `no ${status} at all`);
    });
  });
});
