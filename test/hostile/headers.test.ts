// Headers with bytes that no header should have, sent to every route over a real socket: the hub answers with what is meant for clients, never
// as if it had failed itself.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { ROUTES } from "../../edge/routes.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { runtimeOf } from "../support/hub/tier-process.ts";
import { type Issuer, openIssuer } from "../support/servers/issuer.ts";

/** What the edge reads, and in what form it looks right. The last ones it only hands on. */
const READ: Readonly<Record<string, string>> = {
  "accept": "text/event-stream",
  "authorization": "Bearer a.b.c",
  "content-encoding": "gzip",
  "content-length": "2",
  "content-type": "application/x-www-form-urlencoded",
  "cookie": "Authorization=a.b.c",
  "idempotency-key": "key",
  "last-event-id": "AAAA",
  "origin": "https://x.example",
  "sec-fetch-site": "same-origin",
  "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "x-ballerina-publisher": "publish",
  "x-forwarded-for": "203.0.113.7",
  "x-subscriber-signature": "v1=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
  "x-subscriber-timestamp": "1",
  "x-address": "203.0.113.7",
};
const HANDED_ON = ["content-language", "tracestate", "x-hub-messageid", "ce-id", "expect", "connection", "host"];

/** In place of a value; the first ones also after one that looks right. */
const STRANGE = ["\xe9", "\x01", " ", ",", "\xff\x80", "\x7f", "\0", "", '"', "\\", ";", "%E9"];
/** The longest that the edge takes. What was percent-encoded twice on its way to the core would be six times as long there. */
const LONG = ["a", " ", "\xe9", '"', "%", ","].map((part) => part.repeat(31_000));

/** One of each handler: a path and its other name under /hub are one. */
const TRIED = ROUTES.filter(({ handler }, nth) => ROUTES.findIndex((route) => route.handler === handler) === nth);

const PAIR = "topic=t&callback=http%3A%2F%2F127.0.0.1%3A9%2F";
const QUERIES: Readonly<Record<string, string>> = { GET: PAIR, POST: "hub.mode=publish&hub.topic=t", OPTIONS: "" };
/** A form on the paths of moves, content on those of the hub. */
const BODY = `${PAIR}&cursor=c&id=i`;

describe("strange headers", () => {
  let hub: OwnHub;
  let issuer: Issuer;
  let token = "";
  before(async () => {
    issuer = await openIssuer();
    token = await issuer.token({ scope: "websub:publish websub:subscribe", roles: ["websub:operate"] });
    hub = await openOwnHub({
      settings: {
        TIDINGS_ACCESS: "token",
        TIDINGS_ISSUER: issuer.url,
        TIDINGS_AUDIENCE: "hub",
        TIDINGS_ROLES_CLAIM: "roles",
        TIDINGS_ADDRESS_HEADER: "X-Address",
        // A Worker sees no peer.
        ...(runtimeOf("edge") === "workerd" ? {} : { TIDINGS_TRUSTED_PROXIES: "127.0.0.0/8" }),
        TIDINGS_LOG_LEVEL: "error",
      },
    });
  });
  after(async () => {
    await hub.close();
    await issuer.close();
  });

  it("are all that the edge reads", async () => {
    const files = await readdir(new URL("../../edge/", import.meta.url), { recursive: true });
    const names = new Set<string>();
    for (const file of files.filter((name) => name.endsWith(".ts"))) {
      const text = await readFile(new URL(`../../edge/${file}`, import.meta.url), "utf8");
      for (const [, name] of text.matchAll(/headers\.(?:get|has)\("([^"]+)"\)/g)) names.add(name!.toLowerCase());
    }
    assert.deepEqual([...names].filter((name) => !(name in READ)), []);
  });

  const sent = async (
    route: { method: string; path: string },
    headers: readonly (readonly [string, string])[],
    more = "",
  ) => {
    const { method, path } = route;
    const query = QUERIES[method]! + more;
    const names = new Set(headers.map(([name]) => name));
    const defaults: [string, string][] = [["host", "h"]];
    if (method === "POST") {
      defaults.push(["content-length", String(BODY.length)]);
      defaults.push(["content-type", path.split("/").length > 2 ? READ["content-type"]! : "text/plain"]);
    }
    if (!headers.some(([name]) => /^(?:authorization|cookie|x-subscriber-.*)$/.test(name))) {
      defaults.push(["authorization", `Bearer ${token}`]);
    }
    const all = [...defaults.filter(([name]) => !names.has(name)), ...headers];
    const head = all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const body = method === "POST" ? BODY : "";
    const bytes = Buffer.from(`${method} ${path}?${query} HTTP/1.1\r\n${head}\r\n${body}`, "latin1");
    return await firstOf(Number(new URL(hub.base).port), bytes);
  };

  const wrongWith = async (headers: readonly (readonly [string, string])[], more = "") => {
    const wrong: string[] = [];
    await Promise.all(TRIED.map(async (route) => {
      const answer = await sent(route, headers, more);
      if (/^HTTP\/1\.1 [24]/.test(answer)) return;
      // The server waits for a body that does not come.
      if (answer === "" && headers[0]![0] === "content-length") return;
      wrong.push(`${route.method} ${route.path} ${JSON.stringify(headers).slice(0, 80)}: ${answer}`);
    }));
    return wrong;
  };

  it("beside the longest query are answered by 2xx or 4xx, signed or not", async () => {
    const signed = [
      ["x-subscriber-timestamp", String(Math.floor(Date.now() / 1_000))],
      ["x-subscriber-signature", READ["x-subscriber-signature"]!],
    ] as const;
    for (const part of ['"', "%22", "a", "'", "%C3%A9"]) {
      for (const name of ["after", "since", "limit", "x"]) {
        const more = `&${name}=${part.repeat(Math.floor(16_000 / part.length))}`;
        for (const headers of [signed, [["accept", "*/*"]] as const]) {
          assert.deepEqual(await wrongWith(headers, more), [], `${name}=${part}`);
        }
      }
    }
  });

  for (const [name, right] of [...Object.entries(READ), ...HANDED_ON.map((name) => [name, "x"] as const)]) {
    it(`as ${name} are answered by 2xx or 4xx on every route`, async () => {
      const values = [...STRANGE, ...STRANGE.slice(0, 4).map((strange) => right + strange), ...LONG];
      const beside = name === "x-subscriber-signature"
        ? [["x-subscriber-timestamp", String(Math.floor(Date.now() / 1_000))] as const]
        : name === "x-subscriber-timestamp"
        ? [["x-subscriber-signature", READ["x-subscriber-signature"]!] as const]
        : name === "last-event-id"
        ? [["accept", "text/event-stream"] as const]
        : [];
      const wrong = [];
      for (const value of values) wrong.push(...await wrongWith([[name, value], ...beside]));
      wrong.push(...await wrongWith([[name, right], [name, `${right}\xe9`], ...beside]));
      assert.deepEqual(wrong, []);
    });
  }
});

/** The first bytes of the answer; "" if none came. An answer may go on for ever. */
function firstOf(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    const end = (answer: string) => {
      clearTimeout(late);
      socket.destroy();
      resolve(answer);
    };
    const late = setTimeout(end, 1_000, "");
    socket.on("error", () => {});
    socket.once("close", () => end(""));
    socket.once("data", (part) => end(part.toString("latin1")));
  });
}
