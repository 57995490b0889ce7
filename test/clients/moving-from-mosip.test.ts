// docs/moving-from-mosip.md, followed as it stands: its own commands in a shell, with a real Keycloak's values where the page has
// examples, and free ports where it has the usual ones.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { commandsIn } from "../support/documents/commands.ts";
import { parseDocument } from "../support/documents/markdown.ts";
import { freePort } from "../support/free-port.ts";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { createRealm } from "../support/keycloak/realm.ts";
import { type KeycloakForTests, keycloakForTests, whyNoKeycloak } from "../support/keycloak/shared.ts";

const ROOT = new URL("../../", import.meta.url);
const PAGE = "docs/moving-from-mosip.md";
const PUBLISHER = "mosip-creser-client";
const PARTNER = "mpartner-default-auth";

const skip = await whyNoKeycloak();

describe("the third-party client Keycloak, by the page for MOSIP's sites", { skip, timeout: 300_000 }, () => {
  let [keycloak, hub]: [KeycloakForTests?, OwnHub?] = [];
  /** The shell block that holds this text, with the example of a realm replaced. */
  let block: (holds: string) => string;

  before(async () => {
    keycloak = await keycloakForTests();
    const realm = await createRealm(keycloak.origin, "mosip-page");
    // As MOSIP's realm has them.
    await realm.createClient(PUBLISHER, { roles: ["CREDENTIAL_ISSUANCE", "PUBLISH_CREDENTIAL_ISSUED_ALL_INDIVIDUAL"] });
    await realm.createClient(PARTNER, { roles: ["ID_AUTHENTICATION", "SUBSCRIBE_CREDENTIAL_ISSUED_INDIVIDUAL"] });
    const { shellBlocks } = parseDocument(PAGE, await readFile(new URL(PAGE, ROOT), "utf8"));
    block = (holds) => {
      const found = shellBlocks.filter(({ text }) => text.includes(holds));
      assert.equal(found.length, 1, `${PAGE} has one block with ${holds}`);
      return found[0]!.text.replaceAll("https://iam.example/auth/realms/mosip", realm.issuer);
    };
    hub = await openOwnHub({ settings: settingsIn(block("npm ci && npm start")) });
  });
  after(async () => {
    await hub?.close();
    await keycloak?.[Symbol.asyncDispose]();
  });

  it("gets tokens, registers, subscribes, publishes, and sees the subscription", async () => {
    const port = await freePort();
    const names = block("export REALM=")
      .replace("PUBLISHER_SECRET=…", `PUBLISHER_SECRET=${PUBLISHER}-secret`)
      .replace("PARTNER_SECRET=…", `PARTNER_SECRET=${PARTNER}-secret`);
    const calls = block("hub.mode=register")
      .replaceAll("http://127.0.0.1:9191", new URL(hub!.url).origin)
      .replaceAll("http://127.0.0.1:9393", `http://127.0.0.1:${port}`)
      .replace("listen -- ", `listen -- --hub ${hub!.url} --port ${port} `);
    assert.ok(!(names + calls).includes("…"), "every example has a value");
    const lines = [names, block("export PUBLISHER_TOKEN="), calls, "sleep 1", "kill $!", "wait $! || true"];
    const { stdout } = await promisify(execFile)("bash", ["-c", lines.join("\n")], { cwd: ROOT });

    assert.match(stdout, /azp: 'mosip-creser-client'/, "the claims are shown");
    assert.match(stdout, /preferred_username: 'service-account-mpartner-default-auth'/);
    assert.equal(stdout.match(/^HTTP\/1\.1 200 OK/gm)?.length, 2, stdout);
    assert.equal(stdout.match(/hub\.mode=accepted/g)?.length, 2, stdout);
    assert.match(stdout, /both signatures good {2}\{"hello":"partner"\}/);
    assert.match(stdout, /"state":"active"/);
  });
});

/** What the exports of a shell text set. */
function settingsIn(text: string): Record<string, string> {
  const words = commandsIn(text).filter(([program]) => program === "export").flatMap((command) => command.slice(1));
  return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
}
