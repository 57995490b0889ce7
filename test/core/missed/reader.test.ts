import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readerOf } from "../../../core/missed/reader.ts";
import type { KnownSubscription } from "../../../core/requests/admission.ts";

const subscriptionOf = (owner: object) => ({ id: "s1", record: owner }) as KnownSubscription;
const SIGNED = { kind: "text", text: "t", signature: "s", requester: "asks" } as const;
const client = { issuer: "https://a", claim: "sub", userId: "u" } as const;

describe("whose share a reader takes", () => {
  it("is a token's client's, the owner's of what is signed, and the address's of anyone", () => {
    const owned = subscriptionOf({ client: { ...client, userId: "owner" }, requester: "made" });
    const byClient = readerOf({ kind: "client", ...client }, owned);
    assert.deepEqual(readerOf({ kind: "operator", ...client }, owned), byClient);
    assert.equal(byClient.host, "s1");
    const requesters = [
      byClient,
      readerOf(SIGNED, owned),
      readerOf(SIGNED, subscriptionOf({ requester: "made" })),
      readerOf(SIGNED, subscriptionOf({})),
      readerOf({ kind: "anyone", requester: "asks" }, owned),
      readerOf({ kind: "anyone" }, owned),
    ].map(({ requester }) => requester);
    assert.match(requesters[0]!, /^client .*u/);
    assert.match(requesters[1]!, /^client .*owner/);
    assert.deepEqual(requesters.slice(2), ["address made", "address asks", "address asks", ""]);
  });
});
