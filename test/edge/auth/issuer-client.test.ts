import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createAskIssuer, IssuerError } from "../../../edge/auth/issuer-client.ts";
import { metadataUrls } from "../../../edge/auth/issuer-metadata.ts";
import { createFetchClient, type HttpClient } from "../../../shared/http-client.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { openRecordingServer, type RecordingServer } from "../../support/servers/recording-server.ts";

let server: RecordingServer;
before(async () => {
  server = await openRecordingServer();
  server.route("/good", (_, response) => void response.end('{"a":1}'));
  server.route("/moved", (_, response) => void response.writeHead(302, { location: "/good" }).end('{"a":1}'));
  server.route("/long", (_, response) => void response.end(JSON.stringify({ a: "x".repeat(2_000) })));
  server.route("/drip", (_, response) => {
    response.write('{"a":');
    // And then nothing, for as long as it takes.
  });
  server.route("/silent", () => {});
  server.route("/list", (_, response) => void response.end("[1]"));
  server.route("/bytes", (_, response) => void response.end(Buffer.from([0x22, 0xff, 0x22])));
});
after(() => server.close());

const CLIENTS: readonly [name: string, open: () => HttpClient][] = [
  ["undici", createHttpClient],
  ["fetch", createFetchClient],
];
for (const [name, open] of CLIENTS) {
  describe(`asking an issuer by ${name}`, () => {
    let http: HttpClient;
    before(() => void (http = open()));
    after(() => http.close());
    const ask = (path: string) =>
      createAskIssuer(http, { maxBytes: 1_000, deadlineMs: 300 })({ url: `${server.origin}${path}` });

    it("brings a JSON object", async () => assert.deepEqual(await ask("/good"), { a: 1 }));
    for (const path of ["/moved", "/absent", "/long", "/drip", "/silent", "/list", "/bytes"]) {
      it(`gives up on ${path}`, async () => {
        await assert.rejects(ask(path), (error) => {
          assert.ok(error instanceof IssuerError);
          assert.doesNotMatch(error.message, /xxx|\[1\]/, "what was answered is not repeated");
          assert.equal(error.status, { "/moved": 302, "/absent": 404 }[path]);
          return true;
        });
      });
    }
    it("fails where nothing listens", async () => {
      await assert.rejects(createAskIssuer(http)({ url: "http://127.0.0.1:1/" }), IssuerError);
    });
  });
}

describe("where an issuer's metadata may be", () => {
  for (
    const [issuer, openid, oauth] of [
      ["https://a.example", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
      ["https://a.example/", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
      ["https://a.example/r/1", "/r/1/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/r/1"],
    ] as const
  ) {
    it(issuer, () => {
      assert.deepEqual(metadataUrls(issuer), [`https://a.example${openid}`, `https://a.example${oauth}`]);
    });
  }
});
