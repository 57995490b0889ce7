// The images, built in a directory as the Dockerfile says and run as their users: what is in them, how they start, and that they work.
import assert from "node:assert/strict";
import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { NODE_FLAGS } from "../../shared/runtime/node-flags.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { post, publish } from "../support/hub/hub-client.ts";
import { CORE_KEY, EDGE_KEY, EDGES } from "../support/keys.ts";
import { type CallbackServer, openCallbackServer } from "../support/servers/callback-server.ts";
import { type Certificates, openCertificates } from "../support/servers/certificates.ts";
import { call } from "../support/servers/http.ts";
import { type Issuer, openIssuer } from "../support/servers/issuer.ts";
import { type Container, filesOf, startContainer } from "./container.ts";
import { findHadolint, findingsIn } from "./hadolint.ts";
import { buildOurImages, readRepositoryFile, TARGETS } from "./our-images.ts";

type Settings = Readonly<Record<string, string>>;

const built = await buildOurImages();
const skip = "whyNot" in built ? built.whyNot : false;

describe("the images", { skip, timeout: 120_000 }, () => {
  if ("whyNot" in built) return;
  const { dockerfile, images, remove } = built;
  let certificates: Certificates;
  let issuer: Issuer;
  let callbacks: CallbackServer;
  before(async () => {
    [certificates, issuer, callbacks] = await Promise.all([openCertificates(), openIssuer(), openCallbackServer()]);
    await chmod(certificates.directory, 0o755);
  });
  after(async () => {
    await Promise.all([certificates.close(), issuer.close(), callbacks.close()]);
    await remove();
  });

  /** What an operator says on the internet: who may do what, by whose tokens. */
  const access = (edgePort: number): Settings => ({
    TIDINGS_ACCESS: "token",
    TIDINGS_ISSUER: issuer.url,
    TIDINGS_AUDIENCE: "hub",
    TIDINGS_HUB_URL: `http://127.0.0.1:${edgePort}/hub`,
    TIDINGS_OUTBOUND_ALLOW: "127.0.0.0/8",
    TIDINGS_EDGE_LISTEN: `0.0.0.0:${edgePort}`,
    TIDINGS_EDGE_OPERATING_LISTEN: "127.0.0.1:0",
    TIDINGS_CORE_OPERATING_LISTEN: "127.0.0.1:0",
  });

  /** Publishes with a token to a new subscriber, and waits for the delivery. */
  async function roundTrip(edgePort: number): Promise<void> {
    const hub = { url: `http://127.0.0.1:${edgePort}/hub`, base: `http://127.0.0.1:${edgePort}`, ours: true };
    const own = { ...hub, output: () => "", close: () => Promise.resolve() };
    const headers = { authorization: `Bearer ${await issuer.token({ scope: "websub:publish websub:subscribe" })}` };
    const callback = callbacks.callback();
    const form = { "hub.mode": "subscribe", "hub.topic": "news", "hub.callback": callback.url };
    assert.equal((await post(own, form, headers)).status, 202);
    await callback.challenged(1);
    const query = new URLSearchParams({ topic: "news", callback: callback.url });
    await eventually("an active subscription", async () => {
      const { text } = await call(`${hub.base}/subscriptions?${query}`, { headers });
      return text.includes('"state":"active"');
    });
    assert.equal((await publish(own, "news", { body: "hello", contentType: "text/plain", headers })).status, 200);
    const [delivery] = await callback.delivered(1);
    assert.equal(delivery?.body.toString(), "hello");
  }

  const ready = (container: Container, says: RegExp) =>
    eventually("the container", () => says.test(container.output()), { deadlineMs: 30_000, seen: container.output });

  it("say how they are run: as a numeric user, without a shell, with the flags of production", async () => {
    const { version, description, license } = JSON.parse(await readRepositoryFile("package.json")) as Record<
      string,
      string
    >;
    for (const target of TARGETS) {
      const { user, entrypoint, cmd, healthcheck, stopSignal, labels, exposed, env } = images[target];
      assert.match(user, /^[1-9]\d*:[1-9]\d*$/, target);
      assert.deepEqual(entrypoint, ["/usr/local/bin/node", ...NODE_FLAGS]);
      assert.equal(stopSignal, "SIGTERM");
      assert.equal(healthcheck[0], entrypoint[0]);
      assert.match(cmd.join(" "), /^(?:edge\/main\.ts|core\/main\.ts|cli\/tidings\.ts start)$/);
      const listen = Object.entries(env).find(([name]) => name.endsWith("_LISTEN"))?.[1];
      assert.deepEqual([listen], exposed.map((port) => `0.0.0.0:${port}`), `${target} listens where it is reached`);
      assert.deepEqual(labels, {
        "org.opencontainers.image.title": "Tidings",
        "org.opencontainers.image.description": description,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": license,
      });
    }
  });

  it("have the Node that the tests run on, and bases with a tag that says which", async () => {
    const { packages } = JSON.parse(await readRepositoryFile("package-lock.json")) as {
      packages: Record<string, { version: string }>;
    };
    assert.equal(dockerfile.args["NODE_VERSION"], packages["node_modules/node"]?.version);
    const names = dockerfile.stages.map(({ name }) => name);
    const bases = dockerfile.stages.map(({ from }) => from).filter((from) => !names.includes(from));
    assert.deepEqual(bases, [
      `node:${dockerfile.args["NODE_VERSION"]}-trixie-slim`,
      "gcr.io/distroless/cc-debian13:nonroot",
    ]);
  });

  it("have nothing that they do not need", async () => {
    for (const target of TARGETS) {
      assert.deepEqual(
        (await readdir(join(images[target].root, "app"))).toSorted(),
        [
          ".cache",
          "LICENSE",
          "node_modules",
          "package.json",
          "shared",
          ...{ edge: ["edge"], core: ["core"], hub: ["cli", "client", "core", "edge"] }[target],
        ].toSorted(),
      );
      const { devDependencies } = JSON.parse(await readRepositoryFile("package.json")) as {
        devDependencies: Record<string, string>;
      };
      const unneeded = Object.keys(devDependencies).filter((name) =>
        images[target].files.some((path) => path.startsWith(`/app/node_modules/${name}/`))
      );
      assert.deepEqual(unneeded, [], target);
      const native = images[target].files.filter((path) => path.endsWith(".node"));
      assert.equal(native.length, target === "edge" ? 0 : 1, `${target}: ${native.join()}`);
    }
  });

  it("start only when they are told what they need off loopback, and say so in one sentence", async () => {
    for (
      const [target, settings, says] of [
        ["edge", {}, /^tidings edge: TIDINGS_EDGE_LISTEN is not a loopback address, .* TIDINGS_ACCESS .*\n$/],
        [
          "core",
          {},
          /^tidings core: TIDINGS_CORE_LISTEN "0\.0\.0\.0" is not on loopback, so TIDINGS_CORE_TLS_CERT .*\n$/,
        ],
        ["hub", {}, /^tidings: TIDINGS_EDGE_LISTEN is not a loopback address, .* TIDINGS_ACCESS .*\n$/],
        ["edge", { TIDINGS_ACCESS: "public" }, /^tidings edge: .*TIDINGS_HUB_URL must be set.*\n$/],
      ] as const
    ) {
      await using container = startContainer(images[target], settings);
      assert.equal(await container.ended, 1, target);
      assert.match(container.output(), says);
    }
  });

  it("work together: an edge and a core that trust each other by TLS and keys", async () => {
    const [edgePort, corePort] = [await freePort(), await freePort()];
    const tls = await certificates.issue("core");
    for (const path of Object.values(tls)) await chmod(path, 0o644);
    const common = {
      ...access(edgePort),
      TIDINGS_CORE_LISTEN: `0.0.0.0:${corePort}`,
      TIDINGS_CORE_URL: `https://127.0.0.1:${corePort}`,
      TIDINGS_CORE_TLS_CERT: tls.cert,
      TIDINGS_CORE_TLS_KEY: tls.key,
      TIDINGS_CORE_CA: certificates.ca,
      TIDINGS_CORE_CLIENT_CA: certificates.ca,
      TIDINGS_EDGE_KEYS: JSON.stringify({ keys: EDGES }),
    };
    await using core = startContainer(images.core, {
      ...common,
      TIDINGS_CORE_KEYS: JSON.stringify({ keys: [CORE_KEY] }),
    });
    await ready(core, /^tidings core ready at /m);
    await using edge = startContainer(images.edge, { ...common, TIDINGS_EDGE_KEY: JSON.stringify(EDGE_KEY) });
    await ready(edge, /^tidings edge ready at /m);
    await roundTrip(edgePort);
    for (const container of [edge, core]) {
      assert.deepEqual(await container.health(), { code: 0, said: "" });
      assert.equal(await container.stop(), 0, container.output());
      const { code, said } = await container.health();
      assert.equal(code, 1);
      assert.match(said, /^healthcheck: the (?:edge|core) at 0\.0\.0\.0:\d+ does not answer: .*ECONNREFUSED.*\n$/);
    }
  });

  it("work alone: a hub of both, with its data in the volume, and with code that the build has compiled", async () => {
    const edgePort = await freePort();
    const settings = { ...access(edgePort), TIDINGS_CORE_LISTEN: `127.0.0.1:${await freePort()}` };
    await using hub = startContainer(images.hub, settings);
    await ready(hub, /^The hub is at /m);
    await roundTrip(edgePort);
    const { code, said } = await hub.health({ NODE_DEBUG_NATIVE: "COMPILE_CACHE" });
    assert.equal(code, 0, said);
    assert.ok(said.includes("healthcheck.ts was accepted"), said.slice(0, 2_000));
    assert.ok(!said.includes("no such file"), said.slice(0, 2_000));
    assert.equal(await hub.stop(), 0, hub.output());
    const data = await readdir(join(images.hub.root, "data"));
    assert.ok(data.includes("log.db") && data.includes("core-keys.json"), data.join());
  });

  it("have not changed while they ran, but for their volumes", async () => {
    for (const target of TARGETS) assert.deepEqual(await filesOf(images[target]), images[target].files, target);
  });
});

describe("the Dockerfile", async () => {
  const found = await findHadolint();
  it("has nothing that a linter complains of", { skip: "whyNot" in found && found.whyNot }, async () => {
    if ("whyNot" in found) return;
    assert.deepEqual(await findingsIn(found.program, "Dockerfile"), []);
  });
});
