import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { countNameOf } from "../../core/replica/states.ts";
import { isSameClient, keyedMessageIdOf, recordedClient } from "../../core/state/ids.ts";
import { identityOfClient } from "../../edge/auth/access.ts";
import { type Claims, clientOf } from "../../edge/auth/client.ts";
import { clientKeyOf } from "../../shared/client-key.ts";
import type { ClientIdentity } from "../../shared/core-api.ts";

/** Clients that are different ones, though their claims use the same few words. */
const CLAIMS: readonly (readonly [issuer: string, claims: Claims])[] = ["https://a", "https://b", "https://a\0sub"]
  .flatMap((issuer) =>
    [
      { sub: "alice" },
      { sub: "bob" },
      { sub: "Alice" },
      { preferred_username: "alice" },
      { preferred_username: "bob" },
      { client_id: "alice" },
      { sub: "sub" },
      { preferred_username: "sub" },
      { sub: "b\0c" },
      { sub: '","' },
      { sub: 'sub","alice' },
      { preferred_username: '"alice"' },
      { sub: "é" },
      { sub: "e\u0301" },
      { sub: "alice\n" },
      { sub: " alice" },
    ].map((claims) => [issuer, claims] as const)
  );

function identityOf(issuer: string, claims: Claims): ClientIdentity {
  return identityOfClient(clientOf(claims, issuer, { rolesClaim: "roles", byClientId: true }));
}

describe("WIRE §6 no claim spells another client's identity", () => {
  const all = CLAIMS.map(([issuer, claims]) => identityOf(issuer, claims));

  it("no two of them are one client: not for records, not for quotas, limits and keys of content", () => {
    for (const [index, one] of all.entries()) {
      for (const other of all.slice(index + 1)) {
        const what = JSON.stringify([one, other]);
        assert.equal(isSameClient(recordedClient(one), other), false, what);
        assert.equal(isSameClient(recordedClient(other), one), false, what);
      }
      assert.equal(isSameClient(recordedClient(one), one), true);
    }
    for (
      const key of [
        clientKeyOf,
        (client: ClientIdentity) => countNameOf("topics", client),
        (client: ClientIdentity) => keyedMessageIdOf(clientKeyOf(client), "t".repeat(43), "k"),
      ]
    ) assert.equal(new Set(all.map(key)).size, all.length);
  });

  it("a name that a client gives itself changes nothing", () => {
    for (const [issuer, claims] of CLAIMS.filter(([, { sub }]) => sub !== undefined)) {
      const plain = identityOf(issuer, claims);
      const named = identityOf(issuer, {
        ...claims,
        preferred_username: "alice",
        client_id: "alice",
        username: "alice",
      });
      assert.equal(isSameClient(recordedClient(plain), named), true);
      assert.equal(clientKeyOf(plain), clientKeyOf(named));
    }
  });

  it("none is a client of a record from before claims were recorded, but by the name that it had then", () => {
    const former = { issuer: "https://a", userId: "alice" };
    const theirs = (claims: Claims) => isSameClient(former, identityOf("https://a", claims));
    assert.equal(theirs({ sub: "7f3e", preferred_username: "alice" }), true);
    assert.equal(theirs({ sub: "alice" }), true);
    assert.equal(theirs({ sub: "alice", preferred_username: "mallory" }), false);
    assert.equal(theirs({ sub: "mallory", client_id: "alice" }), false);
    assert.ok(!all.some((client) => clientKeyOf(client) === clientKeyOf(former)));
  });
});
