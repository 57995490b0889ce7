import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { anonymousAt, NOBODY, requesterIdOf, requesterOf } from "../../../shared/shares/requester.ts";

describe("who asks, as the shares know it", () => {
  it("is the client of a token, and no address is ever the same", async () => {
    const client = { issuer: "https://id.example", userId: "alice" };
    const id = await requesterIdOf("192.0.2.1");
    assert.notEqual(requesterOf({ client }), requesterOf({ requester: id }));
    assert.equal(requesterOf({ client, requester: id }), requesterOf({ client }));
    assert.equal(requesterOf({}), NOBODY);
  });

  it("is a hash of the address, which the log does not hold", async () => {
    const { requester } = await anonymousAt("192.0.2.1");
    assert.match(requester!, /^[A-Za-z0-9_-]{16}$/);
    assert.notEqual(requester, (await anonymousAt("192.0.2.2")).requester);
    assert.deepEqual(await anonymousAt(undefined), {});
  });
});
