import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { serve } from "../../../shared/runtime/serve.ts";
import type { Served, ServeTls } from "../../../shared/serve.ts";
import { runChild } from "../../support/hub/child.ts";
import { freePort } from "../../support/free-port.ts";
import { type Certificates, openCertificates } from "../../support/servers/certificates.ts";

const SCRIPT = new URL("../../../shared/runtime/healthcheck.ts", import.meta.url);

describe("the health check", () => {
  let certificates: Certificates;
  before(async () => {
    certificates = await openCertificates();
  });
  after(() => certificates.close());

  /** Its exit code and what it says. */
  async function check(
    args: readonly string[],
    settings: Record<string, string> = {},
  ): Promise<[number | null, string]> {
    await using child = runChild(SCRIPT, { args, settings });
    const { code } = await child.ended;
    return [code, child.stdout() + child.stderr()];
  }

  async function serving<T>(
    use: (served: Served) => Promise<T>,
    hostname: string,
    tls?: ServeTls,
    status = 200,
  ): Promise<T> {
    const asked: string[] = [];
    const fetch = (request: Request) => {
      asked.push(`${request.method} ${new URL(request.url).pathname}`);
      return new Response("", { status });
    };
    const served = await serve({ fetch, hostname, port: 0, tls });
    try {
      return await use(served);
    } finally {
      await served.close(0);
      assert.ok(asked.every((one) => one === "GET /healthz"), asked.join());
    }
  }

  it("is well if the tier answers 200 where it listens", async () => {
    for (const [hostname, listen] of [["127.0.0.1", "127.0.0.1"], ["0.0.0.0", "0.0.0.0"]] as const) {
      await serving(async ({ port }) => {
        const open = { TIDINGS_ACCESS: "public", TIDINGS_HUB_URL: "http://hub.example/hub" };
        assert.deepEqual(await check(["edge"], { ...open, TIDINGS_EDGE_LISTEN: `${listen}:${port}` }), [0, ""]);
      }, hostname);
    }
    await serving(async ({ port }) => {
      assert.deepEqual(await check(["core"], { TIDINGS_CORE_LISTEN: `127.0.0.1:${port}` }), [0, ""]);
    }, "127.0.0.1");
  });

  it("is not well if the tier answers something else, or not at all", async () => {
    await serving(
      async ({ port }) => {
        const sentence = `healthcheck: the edge at 127.0.0.1:${port} answers 503\n`;
        assert.deepEqual(await check(["edge"], { TIDINGS_EDGE_LISTEN: `127.0.0.1:${port}` }), [1, sentence]);
      },
      "127.0.0.1",
      undefined,
      503,
    );
    const [code, said] = await check(["core"], { TIDINGS_CORE_LISTEN: `127.0.0.1:${await freePort()}` });
    assert.equal(code, 1);
    assert.match(said, /^healthcheck: the core at 127\.0\.0\.1:\d+ does not answer: .+\n$/);
  });

  it("asks by TLS, whatever name the certificate has, and also a core that wants one of its edges", async () => {
    const { cert, key } = await certificates.issue("far", "hub.example");
    const tls = { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
    await serving(
      async ({ port }) => {
        const settings = { TIDINGS_EDGE_TLS_CERT: cert, TIDINGS_EDGE_TLS_KEY: key };
        assert.deepEqual(await check(["edge"], { ...settings, TIDINGS_EDGE_LISTEN: `127.0.0.1:${port}` }), [0, ""]);
        // Plain HTTP at the same port is no answer.
        assert.equal((await check(["edge"], { TIDINGS_EDGE_LISTEN: `127.0.0.1:${port}` }))[0], 1);
      },
      "127.0.0.1",
      tls,
    );
    await serving(
      async ({ port }) => {
        const own = {
          TIDINGS_CORE_TLS_CERT: cert,
          TIDINGS_CORE_TLS_KEY: key,
          TIDINGS_CORE_LISTEN: `127.0.0.1:${port}`,
        };
        assert.deepEqual(await check(["core"], { ...own, TIDINGS_CORE_CLIENT_CA: certificates.ca }), [0, ""]);
        // A core that is not to want a certificate is not well if it wants one.
        assert.equal((await check(["core"], own))[0], 1);
      },
      "127.0.0.1",
      { ...tls, clientCa: await readFile(certificates.ca, "utf8") },
    );
  });

  it("says in a sentence what it was not told, and what a setting must be", async () => {
    assert.deepEqual(await check([]), [1, "healthcheck: name the tier, edge or core\n"]);
    const [code, said] = await check(["edge"], { TIDINGS_EDGE_LISTEN: "nowhere" });
    assert.equal(code, 1);
    assert.match(said, /^healthcheck: TIDINGS_EDGE_LISTEN must be host:port.*\n$/);
  });
});
