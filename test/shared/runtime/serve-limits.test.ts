// Each limit that the server keeps, on every runtime, and what a client is told that has reached one.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, describe, it } from "node:test";
import { connect as connectSecurely } from "node:tls";
import { eventually, pause } from "../../support/eventually.ts";
import { createServeRig, SCHEMES, type ServeRig } from "../../support/servers/serve-rig.ts";

const get = "GET / HTTP/1.1\r\nHost: x\r\n";

function limitsOnRequests({ open, raw }: ServeRig): void {
  it("refuses headers over 16 KiB with 431 and a sentence", async () => {
    const served = await open();
    const bomb = await raw(served.port, `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(20_000)}\r\n\r\n`);
    assert.equal(bomb.status, 431);
    assert.match(bomb.body, /headers .*16384 bytes/);
    const many = await raw(served.port, `GET / HTTP/1.1\r\nHost: x\r\n${"A: b\r\n".repeat(10_000)}\r\n`);
    assert.equal(many.status, 431);
    const line = await raw(served.port, `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(line.status, 431);
  });

  it("refuses more than 100 headers with 431 and the same sentence", async () => {
    const served = await open();
    assert.equal((await raw(served.port, `${get}${"A: b\r\n".repeat(99)}\r\n`)).status, 200);
    for (const more of [100, 250, 1_500]) {
      const answer = await raw(served.port, `${get}${"A: b\r\n".repeat(more)}\r\n`);
      assert.equal(answer.status, 431, String(more));
      assert.match(answer.body, /at most 100 headers/);
    }
  });

  it("takes headers as long as it was told, or says at start what it needs for that", async () => {
    const maxHeaderBytes = 64 * 1024;
    const started = await open({ maxHeaderBytes }).catch((error: Error) => error);
    if (started instanceof Error) {
      assert.match(
        started.message,
        /^Cannot take headers of 65536 bytes: .*start it with --max-http-header-size=65536$/,
      );
      return;
    }
    const line = `A: ${"a".repeat(995)}\r\n`;
    assert.equal((await raw(started.port, `${get}${line.repeat(60)}\r\n`)).status, 200);
    assert.equal((await raw(started.port, `${get}${line.repeat(70)}\r\n`)).status, 431);
  });

  it("refuses headers and bodies that never end with 408 and a sentence", async () => {
    const served = await open({ headersTimeoutMs: 200, requestTimeoutMs: 400 });
    for (
      const start of ["GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"]
    ) {
      const answer = await raw(served.port, start, { untilClosed: true });
      assert.equal(answer.status, 408);
      assert.match(answer.body, /headers and its whole body/);
      assert.ok(answer.closed);
    }
  });

  it("refuses a client that sends a little now and then, when the time is over", async () => {
    const served = await open({ headersTimeoutMs: 300 });
    const begun = performance.now();
    const answer = await raw(served.port, async (socket) => {
      socket.write(get);
      for (let n = 0; n < 50 && !socket.destroyed; n++) {
        await pause(50);
        socket.write("A: b\r\n");
      }
    }, { untilClosed: true });
    assert.equal(answer.status, 408);
    assert.ok(performance.now() - begun < 2_000);
  });

  it("reports each refusal of its own", async () => {
    const refused: string[] = [];
    const onRefused = (limit: string) => void refused.push(limit);
    const served = await open({ maxHeaderBytes: 8_192, onRefused });
    await raw(served.port, `${get}A: ${"a".repeat(9_000)}\r\n\r\n`);
    await raw(served.port, `GET /${"a".repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await raw(served.port, `${get}${"A: b\r\n".repeat(150)}\r\n`);
    // A short time would also end a handshake that is slow.
    const impatient = await open({ headersTimeoutMs: 500, onRefused });
    await raw(impatient.port, get, { untilClosed: true });
    assert.deepEqual(refused, ["headers", "headers", "headers", "deadline"]);
  });
}

function limitsOnConnections({ open, raw, call }: ServeRig): void {
  it("takes no more connections than it was told", async () => {
    const refused: string[] = [];
    const served = await open({ maxConnections: 1, onRefused: (limit) => void refused.push(limit) });
    const held = raw(served.port, "GET / HTTP/1.1\r\nHost: x\r\n", { deadlineMs: 400 });
    const other = await raw(served.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", { untilClosed: true });
    assert.deepEqual([other.status, other.closed], [0, true]);
    await held;
    assert.deepEqual(refused, ["connections"]);
    await eventually("room for another", () => call(served.url).then(({ status }) => status === 200, () => false));
  });

  it("§6.7 lets no address have all connections, its handshakes counted, and closes its idle ones for it", async () => {
    const refused: string[] = [];
    const served = await open({
      maxConnections: 40,
      connectionClaim: (address) =>
        address === "127.0.0.1" ? { requester: "good", host: "" } : { requester: "a", host: "" },
      onRefused: (limit) => void refused.push(limit),
    });
    const flood = Array.from({ length: 100 }, () => {
      const socket = connect({ port: served.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
      // On the way to a head, or to the end of a handshake.
      const begun = served.url.startsWith("https") ? Uint8Array.of(22, 3, 1, 2, 0) : Buffer.from(get);
      return socket.on("error", () => {}).on("connect", () => socket.write(begun));
    });
    await eventually("the flood's refusals", () => refused.length === 80);
    const good = await Promise.all(Array.from({ length: 5 }, () => call(served.url)));
    assert.deepEqual(good.map(({ status }) => status), [200, 200, 200, 200, 200]);
    flood.forEach((socket) => socket.destroy());
    await eventually("room for another", () => call(served.url).then(({ status }) => status === 200, () => false));
    assert.ok(refused.every((limit) => limit === "connections"));
  });

  it("§6.7 closes an idle connection of who has most where there is no place for another", async () => {
    const refused: string[] = [];
    const served = await open({
      maxConnections: 4,
      connectionClaim: () => ({ requester: "one", host: "" }),
      onRefused: (limit) => void refused.push(limit),
    });
    const kept = [1, 2].map(() => raw(served.port, `${get}\r\n`, { untilClosed: true, deadlineMs: 2_000 }));
    await eventually("both in use", async () => {
      if ((await call(served.url).catch(() => undefined))?.status !== 200) return false;
      return refused.includes("idle");
    });
    assert.ok((await Promise.all(kept)).some(({ closed }) => closed));
  });

  const BODY = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx";
  for (const [what, begun] of [["half a head", get], ["a body that does not come", BODY]] as const) {
    it(`§6.7 lets 20 addresses that hold all connections with ${what} keep nobody out`, async () => {
      const good = { name: "" };
      const served = await open({
        maxConnections: 80,
        connectionClaim: (address) =>
          address === "127.0.0.1" ? { requester: good.name, host: "" } : { requester: address ?? "", host: "" },
      });
      const secure = served.url.startsWith("https") && { rejectUnauthorized: false };
      let refused = 0;
      const flood = Array.from({ length: 400 }, (_, n) => {
        const to = { port: served.port, host: "127.0.0.1", localAddress: `127.0.1.${1 + Math.floor(n / 20)}` };
        const socket = secure ? connectSecurely({ ...to, ...secure }) : connect(to);
        return socket.on("error", () => {}).on(secure ? "secureConnect" : "connect", () => socket.write(begun))
          .on("close", () => refused++);
      });
      await eventually("a full house", () => refused >= 320);
      for (good.name of ["one", "another"]) {
        const answers = await Promise.all([1, 2].map(() => call(served.url)));
        assert.deepEqual(answers.map(({ status }) => status), [200, 200]);
      }
      flood.forEach((socket) => socket.destroy());
    });
  }

  it("closes a connection that is idle for too long, with or without a request before", async () => {
    const served = await open({ keepAliveTimeoutMs: 100, headersTimeoutMs: 500 });
    for (const text of [`${get}\r\n`, ""]) {
      const begun = performance.now();
      const answer = await raw(served.port, text === "" ? () => {} : text, { untilClosed: true, deadlineMs: 5_000 });
      assert.deepEqual([answer.status, answer.closed], text === "" ? [408, true] : [200, true]);
      // Clients are told a whole second less than the server waits.
      assert.ok(performance.now() - begun < 3_000);
    }
  });

  it("leaves a connection open after an answer that did not wait for the body, and after a refusal", async () => {
    const served = await open({ headersTimeoutMs: 500, fetch: () => new Response("x") });
    const answer = await raw(served.port, async (socket) => {
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
      await pause(700);
      socket.write("abc");
      await pause(1_100);
      socket.write(`${get}Expect: x\r\n\r\n`);
      await pause(1_100);
      socket.write(`${get}Connection: close\r\n\r\n`);
    }, { untilClosed: true });
    const statuses = Array.from(`${answer.head}${answer.body}`.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => status);
    assert.deepEqual(statuses, ["200", "417", "200"]);
  });

  it("closes a connection with more than 100 requests that wait for their answers", async () => {
    let asked = 0;
    const served = await open({
      fetch: () => {
        asked++;
        return new Promise(() => {});
      },
    });
    // The server refuses an expectation by itself, and that answer waits like any other.
    for (const [more, answered] of [["", 100], ["Expect: x\r\n", 1]] as const) {
      asked = 0;
      const flood = Buffer.from(`${get}\r\n` + `${get}${more}\r\n`.repeat(50_000));
      assert.deepEqual(await raw(served.port, flood, { untilClosed: true }), {
        status: 0,
        head: "",
        body: "",
        closed: true,
      });
      assert.equal(asked, answered);
    }
  });

  it("takes any number of requests on a connection that answers them", async () => {
    const served = await open();
    const answer = await raw(served.port, async (socket) => {
      for (let n = 0; n < 5; n++) {
        socket.write(`${get}\r\n`.repeat(50));
        await pause(50);
      }
      socket.write(`${get}Connection: close\r\n\r\n`);
    }, { untilClosed: true });
    assert.equal(`${answer.head}${answer.body}`.match(/HTTP\/1\.1 200/g)?.length, 251);
  });

  it("lets a connection rest after its answer, if the handler says so", async () => {
    let asked = 0;
    const served = await open({
      fetch: (_request, exchange) => {
        asked++;
        exchange?.rest?.(300);
        return new Response("x");
      },
    });
    const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const begun = performance.now();
    const twice = raw(served.port, async (socket) => {
      socket.write(request);
      await eventually("the first answer", () => asked === 1);
      await pause(50);
      socket.write(request);
    }, { untilClosed: true, deadlineMs: 2_000 });
    await eventually("the second answer", () => asked === 2);
    assert.ok(performance.now() - begun >= 290);
    await call(served.url);
    await twice;
  });

  it("lets a connection that repeats rest as long, if it does not wait for its answers", async () => {
    const at: number[] = [];
    const served = await open({
      fetch: (_request, exchange) => {
        at.push(performance.now());
        exchange?.rest?.(100);
        return new Response("x");
      },
    });
    const answer = raw(served.port, async (socket) => {
      socket.write(`${get}\r\n`.repeat(5));
      await eventually("the first answers", () => at.length === 5);
      socket.write(`${get}Connection: close\r\n\r\n`);
    }, { untilClosed: true });
    await eventually("the last request", () => at.length === 6);
    assert.ok(at[5]! - at[0]! >= 490, String(at[5]! - at[0]!));
    assert.equal((await answer).closed, true);
  });
}

for (const scheme of SCHEMES) {
  const rig = await createServeRig(scheme);
  after(() => rig.close());
  describe(`a server's limits on a request over ${scheme}`, () => limitsOnRequests(rig));
  describe(`a server's limits on connections over ${scheme}`, () => limitsOnConnections(rig));
}
