import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { after, before, describe, it } from "node:test";
import type { JWK } from "jose";
import { base64url, exportSPKI, SignJWT, UnsecuredJWT } from "jose";
import { ALGORITHMS } from "../../../edge/auth/jwt.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";
import { eventually } from "../../support/eventually.ts";
import { createSigningKey, type Issuer, openIssuer, type SigningKey } from "../../support/servers/issuer.ts";
import { keepLines } from "../../support/rigs/log-lines.ts";
import { openTokenAccess, type OwnTokenAccess } from "../../support/rigs/token-access.ts";

let issuer: Issuer;
let other: Issuer;
let access: OwnTokenAccess;
before(async () => {
  [issuer, other] = await Promise.all([openIssuer(), openIssuer("/other")]);
  access = openTokenAccess({ ISSUER: issuer.url });
});
after(async () => {
  await Promise.all([issuer.close(), other.close(), access.close()]);
});

/** The user of a token, or the code and sentence of its refusal. */
async function verdict(token: string, by: OwnTokenAccess = access): Promise<string> {
  try {
    return (await by.verify(token)).userId;
  } catch (error) {
    assert.ok(error instanceof HubError, String(error));
    assert.ok(token === "" || !error.message.includes(token), "the token is not repeated");
    return `${error.code}: ${error.message}`;
  }
}

const b64 = (value: unknown) => base64url.encode(typeof value === "string" ? value : JSON.stringify(value));
const claims = () => ({ iss: issuer.url, aud: "hub", sub: "publisher", exp: Math.floor(Date.now() / 1_000) + 3_600 });
/** A token whose header is this text, properly signed by the issuer's key, as only a broken issuer makes it. */
async function signedWithHeader(header: string, payload = JSON.stringify(claims())): Promise<string> {
  const input = `${b64(header)}.${b64(payload)}`;
  const { privateKey } = issuer.keys[0]!;
  const bytes = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", privateKey, new TextEncoder().encode(input));
  return `${input}.${base64url.encode(new Uint8Array(bytes))}`;
}

describe("WIRE §6 a JWT by its issuer's keys", () => {
  it("passes with no more than the issuer's name configured, and the keys are fetched once", async () => {
    const token = await issuer.token();
    assert.deepEqual(await Promise.all([verdict(token), verdict(token), verdict(token)]), Array(3).fill("publisher"));
    assert.equal(await verdict(token), "publisher");
    assert.deepEqual([issuer.asked.metadata.length, issuer.asked.keys.length], [1, 1]);
    assert.match(await access.metrics(), /tidings_tokens_total\{[^}]*outcome="remembered"[^}]*\} 1\n/);
  });

  it("passes by every algorithm of the list", async () => {
    const many = await openIssuer("/many");
    try {
      many.keys = await Promise.all(ALGORITHMS.map((alg) => createSigningKey(alg)));
      const own = openTokenAccess({ ISSUER: many.url });
      for (const key of many.keys) {
        assert.equal(await verdict(await many.token({ sub: key.alg }, { key }), own), key.alg);
      }
      await own.close();
    } finally {
      await many.close();
    }
  });

  it("passes without a kid where several keys could have signed", async () => {
    const many = await openIssuer("/kidless");
    try {
      await many.addKey("RS256");
      const own = openTokenAccess({ ISSUER: many.url, JWKS_URL: `${many.url}/keys` });
      for (const key of many.keys) {
        const token = await new SignJWT({ ...claims(), iss: many.url }).setProtectedHeader({ alg: "RS256" })
          .sign(key.privateKey);
        assert.equal(await verdict(token, own), "publisher");
      }
      const stranger = await createSigningKey();
      const forged = await new SignJWT({ ...claims(), iss: many.url }).setProtectedHeader({ alg: "RS256" })
        .sign(stranger.privateKey);
      assert.match(await verdict(forged, own), /^invalid_token: .*signature/);
      assert.equal(many.asked.metadata.length, 0, "JWKS_URL says where the keys are");
      await own.close();
    } finally {
      await many.close();
    }
  });

  it("passes from either of two issuers, and from each only by its own keys", async () => {
    const both = openTokenAccess({ ISSUER: `${issuer.url}, ${other.url}` });
    assert.equal(await verdict(await issuer.token({ sub: "a" }), both), "a");
    assert.equal(await verdict(await other.token({ sub: "b" }), both), "b");
    const forged = await issuer.token({}, { key: other.keys[0]!, header: { kid: issuer.keys[0]!.kid } });
    assert.match(await verdict(forged, both), /^invalid_token: .*signature/);
    await both.close();
  });

  const now = () => Math.floor(Date.now() / 1_000);
  const HOSTILE: readonly [what: string, make: () => Promise<string> | string, refusal: RegExp][] = [
    ["alg none", () => new UnsecuredJWT(claims()).encode(), /algorithm/],
    ["alg none in another case", () => `${b64({ alg: "nOnE" })}.${b64(claims())}.`, /algorithm/],
    ["no algorithm", () => `${b64({ typ: "JWT" })}.${b64(claims())}.AAAA`, /not a JWT/],
    ["HS256 by the public key as PEM", async () => {
      const secret = new TextEncoder().encode(await exportSPKI(issuer.keys[0]!.publicKey));
      return await new SignJWT(claims()).setProtectedHeader({ alg: "HS256", kid: issuer.keys[0]!.kid }).sign(secret);
    }, /algorithm/],
    ["HS256 by the public key as JWK", async () => {
      const secret = new TextEncoder().encode(JSON.stringify(issuer.keys[0]!.jwk));
      return await new SignJWT(claims()).setProtectedHeader({ alg: "HS256", kid: issuer.keys[0]!.kid }).sign(secret);
    }, /algorithm/],
    ["another issuer's key under the same kid", async () => {
      return await issuer.token({}, { key: other.keys[0]!, header: { kid: issuer.keys[0]!.kid } });
    }, /signature/],
    ["a kid that is not known", async () => await issuer.token({}, { header: { kid: "nobody" } }), /signature/],
    [
      "a kid that names a file",
      async () => await issuer.token({}, { header: { kid: "../../etc/passwd" } }),
      /signature/,
    ],
    ["a kid for a database", async () => await issuer.token({}, { header: { kid: "' or 1=1 --" } }), /signature/],
    ["a kid that is no text", () => signedWithHeader(JSON.stringify({ alg: "RS256", kid: { a: 1 } })), /signature/],
    ["a kid that every object has", async () => await issuer.token({}, { header: { kid: "__proto__" } }), /signature/],
    ["an algorithm that the key is not for", async () => {
      const { kid } = issuer.keys[0]!;
      const key = await createSigningKey("ES256");
      return await issuer.token({}, { key, header: { kid } });
    }, /signature/],
    ["its own key, embedded as jwk", async () => {
      const key = await createSigningKey();
      return await issuer.token({}, { key, header: { jwk: key.jwk } });
    }, /signature/],
    ["its own keys by jku, which nobody fetches", async () => {
      return await issuer.token({}, { key: other.keys[0]!, header: { jku: `${other.url}/keys` } });
    }, /signature/],
    ["its own certificate by x5u and x5c", async () => {
      const key = await createSigningKey();
      return await issuer.token({}, { key, header: { x5u: `${other.url}/keys`, x5c: ["MIIB"] } });
    }, /signature/],
    ["a critical header that nobody understands", () => {
      return signedWithHeader(JSON.stringify({ alg: "RS256", kid: issuer.keys[0]!.kid, crit: ["x"], x: 1 }));
    }, /signature/],
    ["an unencoded payload (RFC 7797)", () => {
      return signedWithHeader(JSON.stringify({ alg: "RS256", kid: issuer.keys[0]!.kid, crit: ["b64"], b64: false }));
    }, /signature/],
    ["a header with two algorithms", () => {
      const header = `{"alg":"RS256","kid":"${issuer.keys[0]!.kid}","alg":"none"}`;
      return `${b64(header)}.${b64(claims())}.`;
    }, /algorithm/],
    ["a payload with two issuers, of which the last is another", () => {
      const { iss: _, ...rest } = claims();
      const payload = `{"iss":"${issuer.url}",${JSON.stringify(rest).slice(1, -1)},"iss":"https://evil.example"}`;
      return signedWithHeader(JSON.stringify({ alg: "RS256", kid: issuer.keys[0]!.kid }), payload);
    }, /not from an issuer/],
    ["a payload that is no JSON", () => {
      return signedWithHeader(JSON.stringify({ alg: "RS256", kid: issuer.keys[0]!.kid }), "{");
    }, /not from an issuer/],
    ["a payload that is a list", () => {
      return signedWithHeader(JSON.stringify({ alg: "RS256", kid: issuer.keys[0]!.kid }), "[]");
    }, /not from an issuer/],
    ["an altered payload", async () => {
      const [header, , signature] = (await issuer.token()).split(".");
      return `${header}.${b64({ ...claims(), sub: "admin" })}.${signature}`;
    }, /signature/],
    ["an altered signature", async () => {
      const token = await issuer.token();
      return `${token.slice(0, -4)}${token.endsWith("AAAA") ? "BBBB" : "AAAA"}`;
    }, /signature/],
    ["expired", async () => await issuer.token({ exp: now() - 60 }), /has expired/],
    ["expired a second ago", async () => await issuer.token({ exp: now() - 1 }), /has expired/],
    ["no end", async () => await issuer.token({ exp: undefined as unknown as number }), /claim exp/],
    ["an end that is no number", async () => await issuer.token({ exp: "never" as unknown as number }), /claim exp/],
    ["not valid yet", async () => await issuer.token({ nbf: now() + 600 }), /not valid yet/],
    ["another issuer", async () => await issuer.token({ iss: "https://evil.example" }), /not from an issuer/],
    [
      "an issuer that differs by a slash",
      async () => await issuer.token({ iss: `${issuer.url}/` }),
      /not from an issuer/,
    ],
    ["an issuer that is a list", async () => {
      return await issuer.token({ iss: [issuer.url] as unknown as string });
    }, /not from an issuer/],
    ["no issuer", async () => await issuer.token({ iss: undefined as unknown as string }), /not from an issuer/],
    ["another audience", async () => await issuer.token({ aud: "other" }), /audience/],
    ["no audience", async () => await issuer.token({ aud: undefined as unknown as string }), /audience/],
    ["nobody", async () => await issuer.token({ sub: "" }), /names no user/],
    ["a JWE", () => `${b64({ alg: "RSA-OAEP", enc: "A256GCM" })}.a.b.c.d`, /not a JWT/],
    ["opaque, where nobody can be asked", () => "0paque", /not a JWT/],
    ["three dots", () => "...", /not a JWT/],
    ["a header that is no JSON", () => `${b64("{")}.${b64(claims())}.AAAA`, /not a JWT/],
    ["huge and empty", () => `${"A".repeat(16_000)}.${"A".repeat(16_000)}.${"A".repeat(16_000)}`, /not a JWT/],
    ["huge, with a header", () => `${b64({ alg: "RS256" })}.${"A".repeat(1_000_000)}.AAAA`, /not from an issuer/],
    ["nested a hundred thousand deep", () => {
      return `${b64({ alg: "RS256" })}.${b64(`${"[".repeat(100_000)}${"]".repeat(100_000)}`)}.AAAA`;
    }, /not from an issuer/],
  ];
  for (const [what, make, refusal] of HOSTILE) {
    it(`is refused: ${what}`, async () => {
      const token = await make();
      const before = other.asked.keys.length;
      // Fresh, since only some unknown keys may be looked for at once.
      const own = openTokenAccess({ ISSUER: issuer.url });
      assert.match(await verdict(token, own), /^invalid_token: /);
      assert.match(await verdict(token, own), refusal, "the second time too");
      assert.equal(other.asked.keys.length, before);
      assert.equal(await verdict(await issuer.token(), own), "publisher", "and the next one is looked at as ever");
      await own.close();
    });
  }

  it("is never accepted past its end, however often it was accepted before", async () => {
    let clock = Date.now();
    const own = openTokenAccess({ ISSUER: issuer.url }, { clock: () => clock });
    const token = await issuer.token({ exp: Math.floor(clock / 1_000) + 60 });
    assert.equal(await verdict(token, own), "publisher");
    clock += 59_000;
    assert.equal(await verdict(token, own), "publisher");
    clock += 1_000;
    assert.match(await verdict(token, own), /^invalid_token: .*expired/);
    await own.close();
  });

  it("is verified again after 5 minutes: a key may have been revoked", async () => {
    let clock = Date.now();
    const own = openTokenAccess({ ISSUER: issuer.url }, { clock: () => clock });
    const token = await issuer.token();
    const looks = async () => /outcome="verified"[^}]*\} (\d+)/.exec(await own.metrics())?.[1];
    await verdict(token, own);
    clock += 299_000;
    await verdict(token, own);
    assert.equal(await looks(), "1");
    clock += 2_000;
    await verdict(token, own);
    assert.equal(await looks(), "2");
    await own.close();
  });
});

describe("an issuer in trouble", () => {
  let ill: Issuer;
  let own: OwnTokenAccess;
  before(async () => {
    ill = await openIssuer("/ill");
  });
  after(() => ill.close());

  const LIES: readonly [what: string, act: () => void][] = [
    ["that answers 500", () => void (ill.onMetadata = (_, response) => void response.writeHead(500).end())],
    ["that redirects", () => {
      ill.onMetadata = (_, response) => {
        const location = `${other.url}/.well-known/openid-configuration`;
        response.writeHead(302, { location }).end();
      };
    }],
    ["whose metadata names another issuer", () => {
      ill.onMetadata = (_, response) => {
        response.end(JSON.stringify({ issuer: other.url, jwks_uri: `${other.url}/keys` }));
      };
    }],
    ["whose metadata has no keys", () => {
      ill.onMetadata = (_, response) => void response.end(JSON.stringify({ issuer: ill.url }));
    }],
    ["whose keys are in a file", () => {
      ill.onMetadata = (_, response) => {
        response.end(JSON.stringify({ issuer: ill.url, jwks_uri: "file:///etc/passwd" }));
      };
    }],
    ["whose metadata is no JSON", () => void (ill.onMetadata = (_, response) => void response.end("<html>"))],
    ["whose metadata is endless", () => {
      ill.onMetadata = (_, response) => {
        const more = () => {
          while (!response.destroyed && response.write("x".repeat(65_536)));
        };
        response.on("drain", more);
        more();
      };
    }],
  ];
  for (const [what, act] of LIES) {
    it(`${what} makes 503, not 401`, async () => {
      own = openTokenAccess({ ISSUER: ill.url });
      const { onMetadata } = ill;
      act();
      assert.match(await verdict(await ill.token(), own), /^unavailable: /);
      ill.onMetadata = onMetadata;
      await own.close();
    });
  }

  it("that hangs costs one request its wait, also where all carry the same token", async () => {
    own = openTokenAccess({ ISSUER: ill.url });
    const { onMetadata } = ill;
    const held: ServerResponse[] = [];
    ill.onMetadata = (_, response) => void held.push(response);
    const token = await ill.token();
    const first = verdict(token, own);
    await eventually("the question", () => held.length === 1);
    const begun = performance.now();
    const others = await Promise.all(Array.from({ length: 20 }, () => verdict(token, own)));
    assert.ok(performance.now() - begun < 2_500, `${performance.now() - begun} ms`);
    assert.match([...new Set(others)].join(), /^unavailable: [^,]*$/);
    ill.onMetadata = onMetadata;
    held[0]!.end(JSON.stringify({ issuer: ill.url, jwks_uri: `${ill.url}/keys` }));
    assert.equal(await first, "publisher");
    assert.equal(await verdict(token, own), "publisher");
    await own.close();
  });

  it("is found out at the start, in one warning that says both names and what to set", async () => {
    const logger = keepLines();
    own = openTokenAccess({ ISSUER: ill.url }, { logger });
    const { onMetadata } = ill;
    ill.onMetadata = (_, response) => {
      response.end(JSON.stringify({ issuer: "https://public.example", jwks_uri: `${ill.url}/keys` }));
    };
    await own.fetchKeys();
    for (let requests = 0; requests < 3; requests++) {
      assert.match(await verdict(await ill.token(), own), /^unavailable: /);
    }
    ill.onMetadata = onMetadata;
    await own.close();
    assert.equal(logger.lines.length, 1, logger.lines.join("\n"));
    for (const part of [`"${ill.url}"`, '"https://public.example"', "set TIDINGS_ISSUER to"]) {
      assert.ok(logger.lines[0]!.includes(part), `${part} in ${logger.lines[0]}`);
    }
  });

  it("whose keys are not where JWKS_URL says is found out at the start, too", async () => {
    const logger = keepLines();
    own = openTokenAccess({ ISSUER: ill.url, JWKS_URL: `${ill.url}/moved` }, { logger });
    await own.fetchKeys();
    await own.close();
    assert.deepEqual(logger.lines, [
      `warn The keys of issuer ${ill.url} cannot be fetched: ${ill.url}/moved answered 404`,
    ]);
  });

  it("is no trouble at the start where its keys come", async () => {
    const logger = keepLines();
    own = openTokenAccess({ ISSUER: ill.url }, { logger });
    const before = ill.asked.keys.length;
    await own.fetchKeys();
    assert.equal(await verdict(await ill.token(), own), "publisher");
    assert.equal(ill.asked.keys.length, before + 1);
    await own.close();
    assert.deepEqual(logger.lines, []);
  });

  it("is found by OAuth's metadata where it has no OpenID's (RFC 8414 §3.1)", async () => {
    own = openTokenAccess({ ISSUER: ill.url });
    const { onMetadata } = ill;
    ill.onMetadata = (_, response) => void response.writeHead(404).end();
    ill.server.route("/.well-known/oauth-authorization-server/ill", (request, response) => {
      return onMetadata(request, response);
    });
    assert.equal(await verdict(await ill.token(), own), "publisher");
    ill.onMetadata = onMetadata;
    await own.close();
  });

  it("that rotates its keys is followed at once, several times in a row", async () => {
    own = openTokenAccess({ ISSUER: ill.url });
    assert.equal(await verdict(await ill.token(), own), "publisher");
    for (let rotations = 0; rotations < 4; rotations++) {
      ill.keys = [await createSigningKey("ES256")];
      assert.equal(await verdict(await ill.token(), own), "publisher");
    }
    const [withdrawn] = ill.keys;
    ill.keys = [await createSigningKey("ES256")];
    assert.match(await verdict(await ill.token({}, { key: withdrawn! }), own), /^(unavailable: |publisher)/);
    await own.close();
  });

  it("whose keys have no ids is followed, too", async () => {
    own = openTokenAccess({ ISSUER: ill.url });
    const kidless = (key: SigningKey) => ill.token({}, { key, header: { kid: undefined as unknown as string } });
    assert.equal(await verdict(await kidless(ill.keys[0]!), own), "publisher");
    ill.keys = [await createSigningKey("ES256")];
    assert.equal(await verdict(await kidless(ill.keys[0]!), own), "publisher");
    assert.match(await verdict(await kidless(await createSigningKey("ES256")), own), /^invalid_token: .*signature/);
    await own.close();
  });

  it("whose key is too weak, or no public key, makes 503, not 401", async () => {
    for (const wrong of [{ n: "AQAB" }, { n: 1 }]) {
      const { keys } = ill;
      const key = await createSigningKey("RS256");
      ill.keys = [{ ...key, jwk: { ...key.jwk, ...wrong } as JWK }];
      own = openTokenAccess({ ISSUER: ill.url });
      assert.match(await verdict(await ill.token({}, { key }), own), /^unavailable: /, JSON.stringify(wrong));
      ill.keys = keys;
      await own.close();
    }
  });
});

describe("WIRE §6 opaque tokens by introspection (RFC 7662)", () => {
  const settings = () => ({
    INTROSPECTION_URL: `${issuer.url}/introspect`,
    INTROSPECTION_CLIENT_ID: "the hub",
    INTROSPECTION_CLIENT_SECRET: "s:ec%ret",
  });

  it("are asked about with the hub's own credentials, once for all requests that carry the same one", async () => {
    const own = openTokenAccess(settings());
    issuer.opaque.set("opaque-1", { aud: "hub", sub: "partner", scope: "websub:publish", iss: issuer.url });
    const before = issuer.asked.introspect.length;
    const client = (await Promise.all([own.verify("opaque-1"), own.verify("opaque-1")]))[0]!;
    assert.deepEqual([client.userId, client.issuer, [...client.scopes]], ["partner", issuer.url, ["websub:publish"]]);
    assert.equal(issuer.asked.introspect.length, before + 1);
    const request = issuer.asked.introspect.at(-1)!;
    assert.equal(request.method, "POST");
    assert.deepEqual(Object.fromEntries(new URLSearchParams(request.body.toString())), {
      token: "opaque-1",
      token_type_hint: "access_token",
    });
    const written = Buffer.from(request.headers.authorization!.replace("Basic ", ""), "base64").toString();
    assert.equal(written, "the+hub:s%3Aec%25ret", "RFC 6749 §2.3.1");
    await own.close();
  });

  it("that are not active, expired, for others or of nobody are refused, and not asked about again at once", async () => {
    const own = openTokenAccess(settings());
    issuer.opaque.set("opaque-expired", { aud: "hub", sub: "a", exp: 1 });
    issuer.opaque.set("opaque-others", { aud: "other", sub: "a" });
    issuer.opaque.set("opaque-nobody", { aud: "hub" });
    const before = issuer.asked.introspect.length;
    for (const token of ["opaque-unknown", "opaque-expired", "opaque-others", "opaque-nobody"]) {
      assert.match(await verdict(token, own), /^invalid_token: /);
      assert.match(await verdict(token, own), /^invalid_token: /);
    }
    assert.equal(issuer.asked.introspect.length, before + 4);
    await own.close();
  });

  it("of a client that speaks for itself are that client's", async () => {
    const own = openTokenAccess(settings());
    issuer.opaque.set("machine", { aud: "hub", client_id: "machine-1" });
    const client = await own.verify("machine");
    assert.deepEqual(
      [client.claim, client.userId, client.issuer],
      ["client_id", "machine-1", `${issuer.url}/introspect`],
    );
    for (const iss of ["", "x".repeat(1_025), "\ud800"]) {
      issuer.opaque.set("odd", { aud: "hub", sub: "a", iss });
      assert.match(await verdict("odd", own), /^invalid_token: .*issuer/);
    }
    await own.close();
  });

  it("count for a minute without another question, and never past their end", async () => {
    let clock = Date.now();
    const own = openTokenAccess(settings(), { clock: () => clock });
    const exp = Math.floor(clock / 1_000) + 30;
    issuer.opaque.set("lasting", { aud: "hub", sub: "a" });
    issuer.opaque.set("short", { aud: "hub", sub: "a", exp });
    await own.verify("lasting");
    await own.verify("short");
    const before = issuer.asked.introspect.length;
    clock += 29_000;
    await own.verify("lasting");
    await own.verify("short");
    assert.equal(issuer.asked.introspect.length, before);
    clock += 2_000;
    assert.match(await verdict("short", own), /^invalid_token/);
    issuer.opaque.delete("lasting");
    assert.equal(await verdict("lasting", own), "a");
    clock += 30_000;
    assert.match(await verdict("lasting", own), /^invalid_token: .*not active/);
    await own.close();
  });

  it("are asked about again where an older answer does not count, and a revoked one is remembered no longer", async () => {
    let clock = Date.now();
    const own = openTokenAccess(settings(), { clock: () => clock });
    issuer.opaque.set("watched", { aud: "hub", sub: "a" });
    const first = await own.verify("watched");
    assert.equal(first.askedAt, clock);
    clock += 20_000;
    const before = issuer.asked.introspect.length;
    assert.equal((await own.verify("watched", { askedSince: clock - 20_000 })).askedAt, first.askedAt);
    const again = await Promise.all(
      Array.from({ length: 50 }, () => own.verify("watched", { askedSince: clock - 5_000 })),
    );
    assert.deepEqual(new Set(again.map(({ askedAt }) => askedAt)), new Set([clock]));
    assert.equal(issuer.asked.introspect.length, before + 1, "one question for all");
    clock += 20_000;
    issuer.opaque.delete("watched");
    await assert.rejects(own.verify("watched", { askedSince: clock - 5_000 }), /not active/);
    assert.match(await verdict("watched", own), /^invalid_token: .*not active/);
    const { askedAt } = await own.verify(await issuer.token()).catch(() => ({ askedAt: undefined }));
    assert.equal(askedAt, undefined);
    await own.close();
  });

  it("are 503 while the endpoint is down, refuses the hub itself, or gives an unusable answer", async () => {
    const own = openTokenAccess(settings());
    const { onIntrospect } = issuer;
    for (const status of [500, 401, 302]) {
      issuer.onIntrospect = (_, response) => void response.writeHead(status, { location: other.url }).end("{}");
      assert.match(await verdict(`away-${status}`, own), /^unavailable: /);
    }
    issuer.onIntrospect = (_, response) => void response.end("[]");
    assert.match(await verdict("list", own), /^unavailable: /);
    issuer.onIntrospect = (_, response) => void response.end('{"active":"true"}');
    assert.match(await verdict("text", own), /^unavailable: /, "neither true nor false says nothing about the token");
    issuer.onIntrospect = onIntrospect;
    await own.close();
  });

  it("are bounded in flight: made-up tokens do not bring the identity provider down", async () => {
    const own = openTokenAccess(settings());
    const { onIntrospect } = issuer;
    const held: (() => void)[] = [];
    issuer.onIntrospect = (request, response) => void held.push(() => void onIntrospect(request, response));
    const verdicts = Promise.all(Array.from({ length: 100 }, (_, index) => verdict(`made-up-${index}`, own)));

    await eventually("the questions of one requester", () => held.length === 16);
    const answering = setInterval(() => held.splice(0).forEach((release) => release()), 10);
    const answers = await verdicts;
    clearInterval(answering);
    assert.equal(
      answers.filter((answer) => answer.startsWith("invalid_token")).length,
      100,
      "they wait for their turn",
    );
    issuer.onIntrospect = onIntrospect;
    await own.close();
  });

  it("stand beside JWTs of the same issuer: the same user is the same client", async () => {
    const own = openTokenAccess({ ...settings(), ISSUER: issuer.url });
    issuer.opaque.set("same", { aud: "hub", sub: "publisher" });
    const [jwt, opaque] = [await own.verify(await issuer.token()), await own.verify("same")];
    assert.deepEqual([jwt.issuer, jwt.claim, jwt.userId], [opaque.issuer, opaque.claim, opaque.userId]);
    issuer.opaque.set("foreign", { aud: "hub", sub: "publisher", iss: "https://evil.example" });
    assert.match(await verdict("foreign", own), /^invalid_token: .*issuer/);
    await own.close();
  });
});
