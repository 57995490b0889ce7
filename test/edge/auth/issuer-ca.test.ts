// Identity providers whose certificate is from an authority of one's own: a whole edge, over TLS.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { after, before, describe, it } from "node:test";
import { SignJWT } from "jose";
import { createAskIssuer } from "../../../edge/auth/issuer-client.ts";
import { openEdge } from "../../../edge/open.ts";
import { createHttpClient } from "../../../shared/runtime/http-client.ts";
import { parseSettings } from "../../../shared/settings/settings.ts";
import { eventually } from "../../support/eventually.ts";
import { type Certificate, type Certificates, openCertificates } from "../../support/servers/certificates.ts";
import { createSigningKey, type SigningKey } from "../../support/servers/issuer.ts";

describe("TIDINGS_ISSUER_CA", () => {
  let certificates: Certificates;
  let own: Certificate;
  let key: SigningKey;
  let server: Server;
  let url: string;
  const asked: string[] = [];
  const shownSubjects: unknown[] = [];
  before(async () => {
    [certificates, key] = await Promise.all([openCertificates(), createSigningKey()]);
    own = await certificates.issue("issuer");
    const [cert, privateKey, ca] = await Promise.all(
      [own.cert, own.key, certificates.ca].map((path) => readFile(path)),
    );
    const tls = { cert: cert!, key: privateKey!, ca: ca!, requestCert: true, rejectUnauthorized: false };
    server = createServer(tls, (request, response) => {
      asked.push(request.url ?? "");
      shownSubjects.push((request.socket as TLSSocket).getPeerCertificate?.()?.subject);
      const isKeys = request.url === "/keys";
      response.end(JSON.stringify(isKeys ? { keys: [key.jwk] } : { issuer: url, jwks_uri: `${url}/keys` }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await certificates.close();
  });

  const open = (more: Record<string, string>) =>
    openEdge(parseSettings({
      TIDINGS_ACCESS: "token",
      TIDINGS_ISSUER: url,
      TIDINGS_AUDIENCE: "hub",
      TIDINGS_DATA_DIR: join(certificates.directory, "data"),
      ...more,
    }));
  /** The status of a request whose token is good and has no right: 403 once its keys are known. */
  const statusAt = async (edge: Awaited<ReturnType<typeof open>>) => {
    const token = await new SignJWT({ iss: url, aud: "hub", sub: "a", exp: Math.floor(Date.now() / 1_000) + 60 })
      .setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey);
    const reply = await edge.fetch(
      new Request("http://127.0.0.1/hub", {
        method: "POST",
        body: "hub.mode=register&hub.topic=t",
        headers: { "content-type": "application/x-www-form-urlencoded", authorization: `Bearer ${token}` },
      }),
      {},
    );
    return reply.status;
  };

  it("is trusted at the provider, whose keys the start fetches; the core's certificate is not shown there", async () => {
    asked.length = 0;
    const mine = await certificates.issue("edge");
    const edge = await open({
      TIDINGS_ISSUER_CA: certificates.ca,
      TIDINGS_CORE_TLS_CERT: mine.cert,
      TIDINGS_CORE_TLS_KEY: mine.key,
    });
    await eventually("the keys, without a request", () => asked.includes("/keys"));
    assert.equal(await statusAt(edge), 403);
    for (const subject of shownSubjects) assert.equal(subject, undefined);
    await edge.close();
  });

  it("is its own: the core's authorities do not count for providers", async () => {
    const edge = await open({ TIDINGS_CORE_CA: certificates.ca });
    assert.equal(await statusAt(edge), 503);
    await edge.close();
  });

  it("is what the error about an unknown authority names", async () => {
    const http = createHttpClient();
    await assert.rejects(createAskIssuer(http)({ url: `${url}/keys` }), /not of an authority.* TIDINGS_ISSUER_CA/);
    await http.close();
  });

  it("that cannot be used stops the start with one sentence", async () => {
    const broken = join(certificates.directory, "broken.pem");
    await writeFile(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const cases: [string, RegExp][] = [
      [
        join(certificates.directory, "absent.pem"),
        /^Cannot read the identity providers' authorities in .*absent\.pem: /,
      ],
      [own.key, /^Cannot use the identity providers' authorities in .*issuer\.key: there is no certificate in it$/],
      [broken, /^Cannot use the identity providers' authorities in .*broken\.pem: certificate 1 of it cannot be read$/],
    ];
    for (const [path, sentence] of cases) {
      await assert.rejects(open({ TIDINGS_ISSUER_CA: path }), { message: sentence });
    }
  });
});
