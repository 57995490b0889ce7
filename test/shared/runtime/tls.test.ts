// Serving and calling with TLS, by certificates that an authority of the test's own has made.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { connect as connectPlain } from "node:net";
import { after, before, describe, it } from "node:test";
import { connect } from "node:tls";
import { HttpClientError } from "../../../shared/http-client.ts";
import { createHttpClient, type HttpClientOptions } from "../../../shared/runtime/http-client.ts";
import { serve } from "../../../shared/runtime/serve.ts";
import { followTls, readTls } from "../../../shared/runtime/tls-files.ts";
import type { Served } from "../../../shared/serve.ts";
import { type Certificate, type Certificates, openCertificates } from "../../support/servers/certificates.ts";
import { eventually } from "../../support/eventually.ts";

async function get(served: Served, tls?: HttpClientOptions["tls"]): Promise<string> {
  const client = createHttpClient(tls === undefined ? {} : { tls });
  try {
    const call = { method: "GET", origin: served.url, path: "/", headers: {}, timeoutMs: 5_000 } as const;
    return Buffer.from((await client.send(call)).body).toString();
  } finally {
    await client.close();
  }
}

/** The serial number of the certificate that a new connection is served with. */
function serialOf({ port }: Served, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca }, () => {
      resolve(socket.getPeerX509Certificate()!.serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

describe("TLS", { timeout: 60_000 }, () => {
  let certificates: Certificates;
  let ours: Certificate;
  let ca: string;
  before(async () => {
    certificates = await openCertificates();
    ours = await certificates.issue("server");
    ca = await readFile(certificates.ca, "utf8");
  });
  after(() => certificates.close());

  async function open(files: Certificate & { clientCa?: string } = ours): Promise<Served> {
    return await serve({
      fetch: () => new Response("hello"),
      hostname: "127.0.0.1",
      port: 0,
      tls: await readTls(files),
    });
  }

  it("serves clients that trust the authority, and no others", async () => {
    const served = await open();
    try {
      assert.match(served.url, /^https:/);
      assert.equal(await get(served, { ca }), "hello");
      await assert.rejects(get(served), HttpClientError);
      await using others = await openCertificates();
      await assert.rejects(get(served, { ca: await readFile(others.ca, "utf8") }), HttpClientError);
    } finally {
      await served.close(0);
    }
  });

  it("checks the certificate against the name that was called", async () => {
    const served = await open(await certificates.issue("elsewhere", "elsewhere.example"));
    try {
      await assert.rejects(get(served, { ca }), /127\.0\.0\.1|altnames/i);
    } finally {
      await served.close(0);
    }
  });

  it("answers no plain HTTP, and goes on", async () => {
    const served = await open();
    try {
      await assert.rejects(get({ ...served, url: served.url.replace("https", "http") }), HttpClientError);
      await new Promise<void>((resolve) => {
        const socket = connectPlain(served.port, "127.0.0.1", () => socket.end("\x16\x03\x01garbage"));
        socket.on("error", () => {}).on("close", () => resolve()).resume();
      });
      assert.equal(await get(served, { ca }), "hello");
    } finally {
      await served.close(0);
    }
  });

  it("can be mutual: a client without a certificate of the right authority is not answered", async () => {
    await using strangers = await openCertificates();
    const served = await open({ ...ours, clientCa: certificates.ca });
    try {
      const [mine, theirs] = [await certificates.issue("edge"), await strangers.issue("edge")];
      assert.equal(await get(served, { ca, ...await readTls(mine) }), "hello");
      await assert.rejects(get(served, { ca, ...await readTls(theirs) }), HttpClientError);
      await assert.rejects(get(served, { ca }), HttpClientError);
    } finally {
      await served.close(0);
    }
  });

  it("takes a certificate that was replaced, without a restart; keeps the old one while the new one is wrong", async () => {
    const files = { cert: `${ours.cert}.live`, key: `${ours.key}.live` };
    const put = async ({ cert, key }: Certificate) => {
      await copyFile(key, `${files.key}.new`);
      await copyFile(cert, `${files.cert}.new`);
      await rename(`${files.key}.new`, files.key);
      await rename(`${files.cert}.new`, files.cert);
    };
    await put(ours);
    const first = await readTls(files);
    const served = await open(files);
    const end = followTls(files, first, served, 20);
    try {
      const before = await serialOf(served, ca);
      const next = await certificates.issue("next");
      await writeFile(files.cert, "no PEM at all");
      assert.equal(await serialOf(served, ca), before);
      // The key of another one.
      await copyFile(next.cert, files.cert);
      assert.equal(await serialOf(served, ca), before);
      await put(next);
      await eventually("the next certificate", async () => await serialOf(served, ca) !== before);
      assert.equal(await get(served, { ca }), "hello");
    } finally {
      end();
      await served.close(0);
    }
  });

  it("lets requests in flight go on over the certificate that they began with", async () => {
    const release = Promise.withResolvers<void>();
    let begun = false;
    const served = await serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: await readTls(ours),
      fetch: async () => {
        begun = true;
        await release.promise;
        return new Response("hello");
      },
    });
    try {
      const before = await serialOf(served, ca);
      const slow = get(served, { ca });
      await eventually("the request", () => begun);
      served.useTls(await readTls(await certificates.issue("second")));
      await eventually("the next certificate", async () => await serialOf(served, ca) !== before);
      // And once more, while the first server still has something to answer.
      const second = await serialOf(served, ca);
      served.useTls(await readTls(await certificates.issue("third")));
      await eventually("the one after it", async () => await serialOf(served, ca) !== second);
      const closed = served.close(5_000);
      release.resolve();
      assert.equal(await slow, "hello");
      await closed;
      await assert.rejects(get(served, { ca }), HttpClientError);
    } finally {
      release.resolve();
      await served.close(0);
    }
  });

  it("cuts what is in flight over an old certificate when its deadline comes", async () => {
    let begun = false;
    const served = await serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: await readTls(ours),
      fetch: () => {
        begun = true;
        return new Promise(() => {});
      },
    });
    const slow = get(served, { ca }).then(() => "answered", () => "cut");
    await eventually("the request", () => begun);
    served.useTls(await readTls(await certificates.issue("second")));
    await served.close(100);
    assert.equal(await slow, "cut");
  });

  it("cuts a handshake that has not ended when its deadline comes", async () => {
    const served = await open();
    const closed = new Promise<void>((resolve) => {
      const socket = connectPlain(served.port, "127.0.0.1", () => socket.write("\x16\x03\x01"));
      socket.on("error", () => {}).on("close", () => resolve()).resume();
    });
    // The server takes connections in order.
    assert.equal(await get(served, { ca }), "hello");
    const begun = performance.now();
    await served.close(100);
    await closed;
    assert.ok(performance.now() - begun < 3_000);
  });

  it("can be mutual, also with authorities that were replaced", async () => {
    await using others = await openCertificates();
    const served = await open({ ...ours, clientCa: certificates.ca });
    try {
      const [mine, theirs] = [await certificates.issue("edge"), await others.issue("edge")];
      assert.equal(await get(served, { ca, ...await readTls(mine) }), "hello");
      served.useTls(await readTls({ ...ours, clientCa: others.ca }));
      await eventually("the other authority", async () => {
        return await get(served, { ca, ...await readTls(theirs) }).catch(() => "") === "hello";
      });
      await assert.rejects(get(served, { ca, ...await readTls(mine) }), HttpClientError);
      await assert.rejects(get(served, { ca }), HttpClientError);
    } finally {
      await served.close(0);
    }
  });

  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    it(`sees no request of a client without the right certificate (${version})`, async () => {
      await using strangers = await openCertificates();
      let asked = 0;
      const served = await serve({
        hostname: "127.0.0.1",
        port: 0,
        tls: await readTls({ ...ours, clientCa: certificates.ca }),
        fetch: () => new Response(String(++asked)),
      });
      const versions = { minVersion: version, maxVersion: version };
      const ask = async (own: object) => {
        const socket = connect({ host: "127.0.0.1", port: served.port, ca, ...versions, ...own });
        let answer = "";
        socket.on("data", (part) => void (answer += part.toString()));
        socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        await new Promise<void>((resolve) => socket.on("error", () => resolve()).on("close", () => resolve()));
        return answer;
      };
      try {
        assert.equal(await ask({}), "");
        assert.equal(await ask(await readTls(await strangers.issue("edge"))), "");
        assert.equal(asked, 0);
        assert.match(await ask(await readTls(await certificates.issue("edge"))), /^HTTP\/1\.1 200 /);
      } finally {
        await served.close(0);
      }
    });
  }

  it("closes a connection whose handshake does not end in time, and keeps the limit on connections", async () => {
    const refused: string[] = [];
    const served = await serve({
      fetch: () => new Response("hello"),
      hostname: "127.0.0.1",
      port: 0,
      tls: await readTls(ours),
      headersTimeoutMs: 400,
      maxConnections: 1,
      onRefused: (limit) => void refused.push(limit),
    });
    try {
      const begun = performance.now();
      const closed = new Promise<void>((resolve) => {
        const socket = connectPlain(served.port, "127.0.0.1", () => socket.write("\x16\x03\x01"));
        socket.on("error", () => {}).on("close", () => resolve()).resume();
      });
      await eventually("a connection too many", () => {
        return get(served, { ca }).then(() => false, () => refused.includes("connections"));
      });
      await closed;
      assert.ok(performance.now() - begun < 3_000);
      await eventually("room for another", () => get(served, { ca }).then(() => true, () => false));
    } finally {
      await served.close(0);
    }
  });

  it("a client shows a certificate that was replaced, without a restart, and drops no call in flight", async () => {
    await using strangers = await openCertificates();
    const [old, next] = [await certificates.issue("edge"), await certificates.issue("edge, renewed")];
    const files = { cert: `${old.cert}.live`, key: `${old.key}.live` };
    const put = async ({ cert, key }: Certificate) => {
      await copyFile(key, files.key);
      await copyFile(cert, files.cert);
    };
    await put(old);
    const first = await readTls(files);
    const client = createHttpClient({ tls: { ca, ...first } });
    const release = Promise.withResolvers<void>();
    const served = await serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: await readTls({ ...ours, clientCa: certificates.ca }),
      fetch: async (request) => {
        if (request.url.endsWith("/slow")) await release.promise;
        return new Response("hello");
      },
    });
    const ask = async (path: string) => {
      const call = { method: "GET", origin: served.url, path, headers: {}, timeoutMs: 10_000 } as const;
      return new TextDecoder().decode((await client.send(call)).body);
    };
    let used = 0;
    const useTls = (tls: { cert: string; key: string }) => {
      client.useTls({ ca, ...tls });
      used++;
    };
    const end = followTls(files, first, { useTls }, 20);
    try {
      assert.equal(await ask("/"), "hello");
      const slow = ask("/slow");
      await put(await strangers.issue("edge"));
      await eventually("a certificate that the server does not take", () => used === 1);
      await assert.rejects(ask("/"), HttpClientError);
      await put(next);
      await eventually("the renewed one", () => used === 2);
      assert.equal(await ask("/"), "hello");
      release.resolve();
      assert.equal(await slow, "hello");
    } finally {
      release.resolve();
      end();
      await client.close();
      await served.close(0);
    }
  });

  it("says in a sentence what is wrong with the files", async () => {
    const other = await certificates.issue("other");
    await assert.rejects(
      readTls({ cert: ours.cert, key: other.key }),
      /^Error: Cannot use the certificate in .*server\.pem/,
    );
    // A key of another kind, of which each runtime would have its own words.
    const { privateKey } = generateKeyPairSync("ed25519");
    await writeFile(`${ours.key}.ed25519`, privateKey.export({ type: "pkcs8", format: "pem" }));
    await assert.rejects(readTls({ cert: ours.cert, key: `${ours.key}.ed25519` }), /: they do not match$/);
    await assert.rejects(
      readTls({ cert: ours.cert, key: "/nowhere.key" }),
      /^Error: Cannot read the private key in \/now/,
    );
    await writeFile(`${ours.cert}.txt`, "text");
    await assert.rejects(readTls({ ...ours, cert: `${ours.cert}.txt` }), /it is not a PEM file$/);
  });
});
