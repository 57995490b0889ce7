// TLS from a Worker to its core: what it trusts by itself, and what a service that is bound as CORE adds. workerd's own configuration
// stands for Cloudflare's tunnel and mTLS certificate.
import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { describe, it } from "node:test";
import { freePort } from "../../support/free-port.ts";
import { openOwnHub } from "../../support/hub/hub.ts";
import { createTierProcess } from "../../support/hub/tier-process.ts";
import { openCertificates } from "../../support/servers/certificates.ts";

/** The status of a register; whose certificate answers is not what is asked here. */
function register(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const options = { method: "POST", headers, agent: false, rejectUnauthorized: false };
    const request = httpsRequest(`${url}/hub`, options, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject).end("hub.mode=register&hub.topic=t");
  });
}

describe("TLS from a Worker to the core", { timeout: 90_000 }, () => {
  it("takes a service for a private authority and for a certificate of its own; fetch trusts public authorities only", async () => {
    await using certificates = await openCertificates();
    const [core, edge] = [await certificates.issue("core"), await certificates.issue("edge")];
    const asked = { TIDINGS_CORE_CLIENT_CA: certificates.ca };
    const own = { TIDINGS_CORE_TLS_CERT: core.cert, TIDINGS_CORE_TLS_KEY: core.key };
    const front = { TIDINGS_EDGE_TLS_CERT: edge.cert, TIDINGS_EDGE_TLS_KEY: edge.key };
    const trusted = { TIDINGS_CORE_CA: certificates.ca };
    const hub = await openOwnHub({
      tls: true,
      runtimes: { core: "node", edge: "workerd" },
      settings: { ...own, ...asked, ...trusted, ...front },
    });
    try {
      assert.equal(await register(hub.base), 200);
      // Less than that: no service at all, and a service that shows no certificate.
      for (const less of [{}, trusted]) {
        const port = await freePort();
        let output = "";
        const other = createTierProcess("edge", {
          runtime: "workerd",
          url: `https://127.0.0.1:${port}`,
          settings: {
            ...front,
            ...less,
            TIDINGS_EDGE_LISTEN: `127.0.0.1:${port}`,
            TIDINGS_CORE_URL: hub.coreUrl,
            TIDINGS_EDGE_KEY: join(hub.dataDir, "edge-key.json"),
          },
          note: (part) => output += part,
          output: () => output,
        });
        await other.start();
        try {
          assert.equal(await register(other.url), 503, JSON.stringify(Object.keys(less)));
          assert.match(output, /No session with the core/);
        } finally {
          await other.stop();
        }
      }
    } finally {
      await hub.close();
    }
  });
});
