// What every adapter of the outbound port must do (WIRE §7). An adapter's test calls `outboundContract` with how it is opened.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import type { BlockedCall } from "../../shared/outbound/blocked-calls.ts";
import { createOutboundGuard, type OutboundGuard } from "../../shared/outbound/guard.ts";
import type { Outbound, OutboundAnswer, OutboundPath, OutboundRequest } from "../../shared/outbound/outbound.ts";
import { answer, cut, endless, hang } from "../support/servers/answers.ts";
import { freePort } from "../support/free-port.ts";
import { openRecordingServer } from "../support/servers/recording-server.ts";
import type { Recorded, RecordingServer, Responder } from "../support/servers/recording-server.ts";

export interface OutboundSetting {
  /** Why this adapter cannot be tested here, or false. */
  readonly skip: string | false;
  open(options: {
    readonly guard: OutboundGuard;
    readonly userAgent: string;
    readonly onBlocked: (blocked: BlockedCall) => void;
  }): Outbound;
}

const LOOPBACK = createOutboundGuard(["127.0.0.0/8", "::1/128"]);

export function outboundContract(name: string, setting: OutboundSetting): void {
  describe(`${name}: the outbound port's contract`, { skip: setting.skip, timeout: 60_000 }, () => {
    let server: RecordingServer;
    let outbound: Outbound;
    const blocked: BlockedCall[] = [];
    let count = 0;
    before(async () => {
      server = await openRecordingServer();
      const onBlocked = (call: BlockedCall) => void blocked.push(call);
      outbound = setting.open({ guard: LOOPBACK, userAgent: "Tidings/test", onBlocked });
    });
    after(async () => {
      await outbound.close();
      await server.close();
    });

    /** A URL that answers like this, and what came to it. */
    function page(respond: Responder): { url: string; path: string; requests: Recorded[] } {
      const path = `/page/${count += 1}`;
      const requests: Recorded[] = [];
      server.route(path, (request, response) => {
        requests.push(request);
        return respond(request, response);
      });
      return { url: `${server.origin}${path}`, path, requests };
    }
    const get = (url: string, more: Partial<OutboundRequest> = {}): Promise<OutboundAnswer> =>
      outbound.call({ path: "fetch", method: "GET", url, deadlineMs: 5_000, maxBytes: 1_000, ...more });
    const codeOf = (result: OutboundAnswer) => result.kind === "failed" ? result.code : result.status;
    const textOf = (result: OutboundAnswer) =>
      result.kind === "answer" ? new TextDecoder().decode(result.body) : result;

    it("calls a URL as given; only characters that no URL has are percent-encoded", async () => {
      const { url, path, requests } = page(answer(200, "hello", { "x-a": "1" }));
      const target = "?a=%2f%7E&b=x+y&c=[]{}|'\"<>^`&%zz";
      const result = await get(`${url}${target}`);
      assert.equal(textOf(result), "hello");
      assert.ok(result.kind === "answer" && result.headers["x-a"] === "1");
      const sent = "?a=%2f%7E&b=x+y&c=[]%7B%7D%7C'%22%3C%3E%5E%60&%zz";
      assert.equal(requests[0]?.url, `${path}${sent}`);
      assert.equal(requests[0]?.headers["user-agent"], "Tidings/test");
    });

    it("sends a body", async () => {
      const { url, requests } = page(answer(204));
      const result = await outbound.call({
        path: "fetch",
        method: "POST",
        url,
        body: new TextEncoder().encode("a=b"),
        headers: { "content-type": "text/x" },
        deadlineMs: 5_000,
        maxBytes: 10,
      });
      assert.equal(codeOf(result), 204);
      assert.equal(requests[0]?.body.toString(), "a=b");
      assert.equal(requests[0]?.headers["content-type"], "text/x");
    });

    it("does not follow a redirect unless asked", async () => {
      const target = page(answer(200, "there"));
      const { url } = page(answer(302, "", { location: target.url }));
      assert.equal(codeOf(await get(url)), 302);
      assert.equal(target.requests.length, 0);
    });

    it("follows as many redirects as asked, and then takes the last one for the answer", async () => {
      const end = page(answer(200, "there"));
      let url = end.url;
      for (const status of [301, 302, 307]) url = page(answer(status, "", { location: url })).url;
      const found = await get(url, { maxRedirects: 3 });
      assert.equal(textOf(found), "there");
      assert.ok(found.kind === "answer" && found.url === end.url);
      assert.equal(codeOf(await get(url, { maxRedirects: 2 })), 301);
    });

    it("WIRE §3 follows no Location that common servers find too long", async () => {
      const { url } = page(answer(302, "", { location: `/${"x".repeat(9_000)}` }));
      const found = await get(url, { maxRedirects: 1 });
      assert.ok(found.kind === "failed" && found.code === "network", JSON.stringify(found));
      assert.match(found.reason, /redirected to a URL of 90\d\d characters/);
    });

    it("follows a Location of raw UTF-8, and says so in escapes", async () => {
      const { url } = page(answer(302, "", { location: Buffer.from("/grüße?😀|", "utf8").toString("latin1") }));
      const asked: string[] = [];
      server.route("/gr%C3%BC%C3%9Fe", (request, response) => {
        asked.push(request.url);
        return answer(200, "there")(request, response);
      });
      assert.equal(textOf(await get(url, { maxRedirects: 1 })), "there");
      assert.deepEqual(asked, ["/gr%C3%BC%C3%9Fe?%F0%9F%98%80%7C"]);
    });

    it("guards every hop of a redirect", async () => {
      for (
        const location of ["http://10.0.0.1/", "http://[::ffff:192.168.0.1]/", "http://127.0.0.1:22/", "file:///etc"]
      ) {
        const { url } = page(answer(302, "", { location }));
        assert.equal(codeOf(await get(url, { maxRedirects: 3 })), "forbidden", location);
      }
    });

    it("reads a body up to its cap, whatever the length says", async () => {
      assert.equal(textOf(await get(page(answer(200, "x".repeat(1_000))).url)), "x".repeat(1_000));
      assert.equal(codeOf(await get(page(answer(200, "x".repeat(1_001))).url)), "too_large");
      assert.equal(codeOf(await get(page(endless()).url)), "too_large");
    });

    it("undoes gzip, deflate and br, and drops the header with them", async () => {
      const codings = [["gzip", gzipSync], ["deflate", deflateSync], ["deflate", deflateRawSync], [
        "br",
        brotliCompressSync,
      ]] as const;
      for (const [encoding, pack] of codings) {
        const { url } = page(answer(200, pack("hello"), { "content-encoding": encoding }));
        const result = await get(url);
        assert.equal(textOf(result), "hello", encoding);
        assert.ok(result.kind === "answer" && result.headers["content-encoding"] === undefined);
      }
      const twice = page(answer(200, gzipSync(brotliCompressSync("hello")), { "content-encoding": "br, gzip" }));
      assert.equal(textOf(await get(twice.url)), "hello");
    });

    it("leaves a coding that it does not know as it is", async () => {
      const result = await get(page(answer(200, "??", { "content-encoding": "own" })).url);
      assert.ok(result.kind === "answer" && result.headers["content-encoding"] === "own");
      assert.equal(textOf(result), "??");
    });

    it("caps what a small body unpacks to, and takes garbage for no answer", async () => {
      const bomb = gzipSync(Buffer.alloc(50_000_000));
      const result = await get(page(answer(200, bomb, { "content-encoding": "gzip" })).url, { maxBytes: 100_000 });
      assert.equal(codeOf(result), "too_large");
      assert.equal(codeOf(await get(page(answer(200, "no gzip", { "content-encoding": "gzip" })).url)), "network");
      const many = page(answer(200, "x", { "content-encoding": "gzip, gzip, gzip, gzip" }));
      assert.equal(codeOf(await get(many.url)), "network");
    });

    it("has one deadline over everything", async () => {
      const begun = performance.now();
      assert.equal(codeOf(await get(page(hang()).url, { deadlineMs: 150 })), "timeout");
      const dripping = page((_request, response) => {
        response.writeHead(200);
        const drip = setInterval(() => response.write("."), 20);
        response.on("close", () => clearInterval(drip));
      });
      assert.equal(codeOf(await get(dripping.url, { deadlineMs: 150 })), "timeout");
      let hops = 0;
      const circle = page((_request, response) => {
        hops += 1;
        setTimeout(() => response.writeHead(302, { location: circle.url }).end(), 20);
      });
      assert.equal(codeOf(await get(circle.url, { deadlineMs: 150, maxRedirects: 1_000 })), "timeout");
      assert.ok(hops > 1);
      assert.ok(performance.now() - begun < 3_000);
    });

    it("ends at once when aborted, before and while it waits", async () => {
      const stop = new AbortController();
      const waiting = get(page(hang()).url, { signal: stop.signal });
      setTimeout(() => stop.abort(), 30);
      assert.equal(codeOf(await waiting), "aborted");
      const { url, requests } = page(answer(200));
      assert.equal(codeOf(await get(url, { signal: stop.signal })), "aborted");
      assert.equal(requests.length, 0);
    });

    it("takes a cut connection, a refused one and a bad certificate for no answer", async () => {
      assert.equal(codeOf(await get(page(cut()).url)), "network");
      assert.equal(codeOf(await get(`http://127.0.0.1:${await freePort()}/`)), "network");
      assert.equal(codeOf(await get(server.origin.replace("http:", "https:"))), "network");
    });

    it("refuses what is no http URL, without a call", async () => {
      for (const url of ["ftp://127.0.0.1/", "nonsense", "http://", "http://u:p@127.0.0.1/", "http://127.0.0.1:9/#f"]) {
        assert.equal(codeOf(await get(url)), "forbidden", url);
      }
    });

    it("tells of each refusal what the call was for, why, and of which host", async () => {
      blocked.length = 0;
      const paths: readonly OutboundPath[] = ["verification", "notice", "fetch"];
      for (const path of paths) assert.equal(codeOf(await get("http://10.0.0.1/", { path })), "forbidden");
      assert.deepEqual(blocked, paths.map((path) => ({ path, reason: "private", host: "10.0.0.1" })));
      await get("http://u:p@127.0.0.1/");
      assert.deepEqual(blocked.slice(3), [{ path: "fetch", reason: "url", host: "" }]);
    });
  });

  describe(`${name}: a strict guard`, { skip: setting.skip }, () => {
    it("lets no call go to this machine, by address or by name", async () => {
      await using server = await openRecordingServer();
      const requests: Recorded[] = [];
      server.route("/", (request, response) => {
        requests.push(request);
        response.end("reached");
      });
      const strict = setting.open({ guard: createOutboundGuard([]), userAgent: "t", onBlocked: () => {} });
      for (const host of ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "localhost."]) {
        const url = `http://${host}:${server.port}/`;
        const result = await strict.call({ path: "fetch", method: "GET", url, deadlineMs: 5_000, maxBytes: 100 });
        assert.equal(result.kind === "failed" && result.code, "forbidden", host);
      }
      assert.equal(requests.length, 0);
      await strict.close();
    });
  });
}
