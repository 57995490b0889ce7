import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask } from "../../../../shared/runtime/names/ask.ts";

const never = new AbortController().signal;

describe("a name server that cannot be reached", () => {
  // No network, an interface that is not there, an address that nobody has, nobody there, and what is no server's address at all.
  const addresses = ["203.0.113.1", "fe80::1%none", "2001:db8::1", "127.0.0.1", "::1", "255.255.255.255", "224.0.0.1"];

  for (const tcp of [false, true]) {
    it(`is an error that is thrown to who asks, over ${tcp ? "TCP" : "UDP"}, and to nobody else`, async () => {
      const asking = addresses.map((address) =>
        ask({ server: { address, port: 1 }, name: "one.example", family: 4, timeoutMs: 300, tcp }, never)
      );
      const results = await Promise.allSettled(asking);
      assert.deepEqual(results.map(({ status }) => status), addresses.map(() => "rejected"));
    });
  }

  it("is given up at once by who no longer asks", async () => {
    const over = new AbortController();
    const asking = ask({
      server: { address: "203.0.113.1", port: 1 },
      name: "a",
      family: 4,
      timeoutMs: 60_000,
      tcp: false,
    }, over.signal);
    over.abort();
    await assert.rejects(asking);
    await assert.rejects(
      ask(
        { server: { address: "127.0.0.1", port: 1 }, name: "a", family: 4, timeoutMs: 60_000, tcp: true },
        over.signal,
      ),
    );
  });
});
