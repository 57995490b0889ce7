import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkAudience } from "../../../edge/auth/audience.ts";
import { type Claims, clientOf } from "../../../edge/auth/client.ts";
import { HubError } from "../../../edge/answers/hub-error.ts";

const refused = (error: unknown) => error instanceof HubError && error.code === "invalid_token";

describe("WIRE §6 the claims of a client", () => {
  const rolesOf = (
    claims: Claims,
    path: string,
  ) => [...clientOf({ sub: "s", ...claims }, "i", { rolesClaim: path }).roles];

  it("Keycloak's shape: realm_access.roles, sub before preferred_username, scope as one text", () => {
    const client = clientOf(
      {
        sub: "0f1d",
        preferred_username: "service-account-mpartner",
        realm_access: { roles: ["PUBLISH_X_GENERAL", "offline_access"] },
        scope: "profile  email",
        exp: 100,
      },
      "https://a",
      { rolesClaim: "realm_access.roles" },
    );
    assert.deepEqual([client.claim, client.userId, client.name], ["sub", "0f1d", "service-account-mpartner"]);
    assert.deepEqual([...client.roles], ["PUBLISH_X_GENERAL", "offline_access"]);
    assert.deepEqual([...client.scopes], ["profile", "email"]);
    assert.equal(client.expiresAt, 100_000);
  });

  for (
    const [what, claims, path, roles] of [
      ["a name", { roles: ["a", "b"] }, "roles", ["a", "b"]],
      ["a text with spaces", { scope: "a b" }, "scope", ["a", "b"]],
      ["a deep path", { x: { y: { z: ["a"] } } }, "x.y.z", ["a"]],
      ["a name that has dots itself", { "https://a.example/roles": ["a"] }, "https://a.example/roles", ["a"]],
      [
        "a name with dots within a path",
        { resource_access: { "my.client": { roles: ["a"] } } },
        "resource_access.my.client.roles",
        [
          "a",
        ],
      ],
      ["a URL within a path", { "https://a.example/x": { roles: ["a"] } }, "https://a.example/x.roles", ["a"]],
      ["a URL at the end of a path", { x: { "https://a.example/roles": ["a"] } }, "x.https://a.example/roles", ["a"]],
      ["the longest name first", { "a.b": { c: ["long"] }, a: { b: { c: ["short"] } } }, "a.b.c", ["long"]],
      [
        "a shorter name, where the longest leads nowhere",
        { "a.b": { x: ["long"] }, a: { b: { c: ["short"] } } },
        "a.b.c",
        [
          "short",
        ],
      ],
      ["a path with empty names", { a: { "": { b: ["a"] } } }, "a..b", []],
      ["nothing there", {}, "realm_access.roles", []],
      ["something else there", { roles: { a: true } }, "roles", []],
      ["a list of other things", { roles: ["a", 1, null, ["b"], ""] }, "roles", ["a"]],
      ["what every object has", { roles: {} }, "roles.constructor.name", []],
      ["what every object's prototype has", {}, "__proto__", []],
      ["a path through a text", { roles: "abc" }, "roles.length", []],
    ] as const
  ) it(`ROLES_CLAIM: ${what}`, () => assert.deepEqual(rolesOf(claims, path), roles));

  it("the client is sub, else preferred_username, else in an answer of introspection client_id", () => {
    const named = (claims: Claims, byClientId = false) => {
      const { claim, userId, name } = clientOf(claims, "i", { rolesClaim: "roles", byClientId });
      return [claim, userId, name];
    };
    const all = { sub: "s", preferred_username: "p", client_id: "c" };
    assert.deepEqual(named(all, true), ["sub", "s", "p"]);
    assert.deepEqual(named({ ...all, sub: "" }, true), ["preferred_username", "p", "p"]);
    assert.deepEqual(named({ client_id: "c" }, true), ["client_id", "c", undefined]);
    assert.throws(() => named({ client_id: "c" }), refused);
    for (const wrong of ["x".repeat(1_025), "\ud800"]) {
      assert.throws(() => named({ sub: "s", preferred_username: wrong }), refused);
    }
  });

  it("a token that names no user is refused", () => {
    const nobody: Claims[] = [{}, { sub: "" }, { sub: 1 }, { sub: ["a"] }, { sub: "x".repeat(1_025) }, {
      sub: "\ud800",
    }];
    for (const claims of nobody) assert.throws(() => clientOf(claims, "i", { rolesClaim: "roles" }), refused);
  });
});

describe("WIRE §6 for whom and when", () => {
  const now = 1_000_000;
  const TABLE: readonly [what: string, claims: Claims, audience: string[], matchAzp: boolean, passes: boolean][] = [
    ["the audience itself", { aud: "hub" }, ["hub"], false, true],
    ["one of several", { aud: ["a", "hub"] }, ["hub", "b"], false, true],
    ["none of several", { aud: ["a", "b"] }, ["hub"], false, false],
    ["no audience", {}, ["hub"], false, false],
    ["an audience that is no text", { aud: [{ hub: 1 }, 1] }, ["hub"], false, false],
    ["a prefix of it", { aud: "hub2" }, ["hub"], false, false],
    ["any audience", {}, ["*"], false, true],
    ["a token that says it is for all", { aud: "*" }, ["hub"], false, false],
    ["azp, where the policy does not look at it", { azp: "hub" }, ["hub"], false, false],
    ["azp, where it does", { aud: "account", azp: "hub" }, ["hub"], true, true],
    ["another azp", { aud: "account", azp: "x" }, ["hub"], true, false],
    ["its last second over", { aud: "hub", exp: 1_000 }, ["hub"], false, false],
    ["a second left", { aud: "hub", exp: 1_001 }, ["hub"], false, true],
    ["an end that is no number", { aud: "hub", exp: "2000" }, ["hub"], false, false],
    ["a beginning a moment ahead, by another clock", { aud: "hub", nbf: 1_004 }, ["hub"], false, true],
    ["a beginning to come", { aud: "hub", nbf: 1_006 }, ["hub"], false, false],
    ["a beginning that is no number", { aud: "hub", nbf: "0" }, ["hub"], false, false],
  ];
  for (const [what, claims, audience, matchAzp, passes] of TABLE) {
    it(`${what}: ${passes ? "passes" : "refused"}`, () => {
      const judge = () => checkAudience(claims, { audience, matchAzp }, now);
      if (passes) judge();
      else assert.throws(judge, refused);
    });
  }
});
