import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openAccess } from "../../../edge/auth/access.ts";
import { asksForEvents } from "../../../edge/auth/subscriber-signature.ts";

const asker = (signature: string, timestamp = "1000") =>
  openAccess.callerOf({
    method: "GET",
    target: "/messages",
    headers: new Headers({ "x-subscriber-timestamp": timestamp, "x-subscriber-signature": signature }),
    body: new Uint8Array(0),
  }, "t");

describe("WIRE §5 a signature at the edge", () => {
  it("of v1= ends what goes on by it 300 s after its timestamp; one of v2= does not", async () => {
    const hmac = `${"A".repeat(43)}=`;
    assert.equal((await asker(`v1=${hmac}`)).expiresAt, 1_300_000);
    assert.equal((await asker(`v2=${hmac}`)).expiresAt, Infinity);
  });

  it("says whether events are asked for, as the answer goes by it", () => {
    const asks = (accept: string, method = "GET") => asksForEvents(method, new Headers({ accept }));
    for (const accept of ["text/event-stream", "a/b, TEXT/Event-Stream;q=0.1", "text/event-stream , */*"]) {
      assert.equal(asks(accept), true, accept);
      assert.equal(asks(accept, "HEAD"), false);
      assert.equal(asks(accept, "POST"), false);
    }
    for (const accept of ["", "*/*", "text/*", "application/json", "xtext/event-stream"]) {
      assert.equal(asks(accept), false, accept);
    }
  });
});
