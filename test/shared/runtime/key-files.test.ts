import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { coreKeys, edgeKey, knownEdges, rotateCoreKeys } from "../../../shared/runtime/keys.ts";
import { makeCoreKey, makeEdgeKey } from "../../../shared/jwks.ts";

const UNSET = { coreKeys: undefined, edgeKey: undefined, edgeKeys: undefined };

describe("the keys of a process (ARCHITECTURE §5)", () => {
  let parent: string;
  let count = 0;
  const newDirectory = () => join(parent, `data ${++count}`);
  before(async () => {
    parent = await mkdtemp(join(tmpdir(), "tidings-keys-"));
  });
  after(() => rm(parent, { recursive: true, force: true }));

  it("are made at the first start, mode 0600, the same for both tiers and for every later start", async () => {
    const settings = { ...UNSET, dataDir: newDirectory() };
    const made = await Promise.all([coreKeys(settings), edgeKey(settings), coreKeys(settings), knownEdges(settings)]);
    const [keys, edge, again, edges] = made;
    assert.deepEqual(keys, again);
    assert.deepEqual(edges, [{ kty: "OKP", crv: "Ed25519", kid: edge.kid, x: edge.x }]);
    assert.deepEqual((await readdir(settings.dataDir)).toSorted(), ["core-keys.json", "edge-key.json"]);
    for (const name of ["core-keys.json", "edge-key.json"]) {
      assert.equal((await stat(join(settings.dataDir, name))).mode & 0o777, 0o600);
    }
    assert.deepEqual(await coreKeys(settings), keys);
    assert.deepEqual(await edgeKey(settings), edge);
  });

  it("are refused where others may read them, in a sentence that says what to do", async () => {
    const settings = { ...UNSET, dataDir: newDirectory() };
    await coreKeys(settings);
    await edgeKey(settings);
    for (const mode of [0o640, 0o604, 0o666]) {
      await chmod(join(settings.dataDir, "core-keys.json"), mode);
      await chmod(join(settings.dataDir, "edge-key.json"), mode);
      const sentence = new RegExp(`\\.json: its mode is 0${mode.toString(8)}, .*chmod 600 it$`);
      await assert.rejects(coreKeys(settings), sentence);
      await assert.rejects(edgeKey(settings), sentence);
    }
  });

  it("come from a setting instead, as a value or as a path, whose group may read it", async () => {
    const dataDir = newDirectory();
    const [core, edge, file] = [await makeCoreKey(), await makeEdgeKey(), join(parent, "core keys")];
    await writeFile(file, JSON.stringify({ keys: [core] }), { mode: 0o640 });
    await chmod(file, 0o640);
    const { d: _, ...known } = edge;
    const settings = {
      dataDir,
      coreKeys: file,
      edgeKey: JSON.stringify(edge),
      edgeKeys: JSON.stringify({ keys: [edge, { ...known, kid: "other" }] }),
    };
    assert.deepEqual(await coreKeys(settings), [core]);
    assert.deepEqual(await edgeKey(settings), edge);
    assert.deepEqual(await knownEdges(settings), [known, { ...known, kid: "other" }]);
    await assert.rejects(readdir(dataDir), "nothing is made where nothing is needed");
    await chmod(file, 0o644);
    await assert.rejects(coreKeys(settings), /mode is 0644/);
  });

  it("in a wrong form are refused with the name of their source, and not repeated", async () => {
    const core = await makeCoreKey();
    const edge = await makeEdgeKey();
    const at = (more: object) => ({ ...UNSET, dataDir: newDirectory(), ...more });
    const wrong = [
      "{}",
      '{"keys":[]}',
      "{secret",
      JSON.stringify({ keys: [edge] }),
      JSON.stringify({ keys: [core, core] }),
    ];
    for (const value of wrong) {
      await assert.rejects(coreKeys(at({ coreKeys: value })), (error: Error) => {
        assert.match(error.message, /^TIDINGS_CORE_KEYS (?:is not|has two)/);
        assert.ok(!error.message.includes(edge.d) && !error.message.includes(core.d) && !error.message.includes("{"));
        return true;
      });
    }
    await assert.rejects(edgeKey(at({ edgeKey: JSON.stringify(core) })), /^Error: TIDINGS_EDGE_KEY is not an Ed25519/);
    await assert.rejects(
      knownEdges(at({ edgeKeys: JSON.stringify({ keys: [core] }) })),
      /^Error: TIDINGS_EDGE_KEYS is not/,
    );
    await assert.rejects(coreKeys(at({ coreKeys: join(parent, "nowhere") })), /Cannot read the keys in .*nowhere/);
  });

  it("rotate: a new one stands first, the old ones stay", async () => {
    const settings = { ...UNSET, dataDir: newDirectory() };
    const before = await coreKeys(settings);
    const kid = await rotateCoreKeys(settings);
    const after = await coreKeys(settings);
    assert.deepEqual(after.slice(1), before);
    assert.equal(after[0]!.kid, kid);
    assert.equal((await stat(join(settings.dataDir, "core-keys.json"))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(settings.dataDir), ["core-keys.json"]);
    // Also where there was none yet.
    const fresh = { ...UNSET, dataDir: newDirectory() };
    await rotateCoreKeys(fresh);
    assert.equal((await coreKeys(fresh)).length, 2);
    const value = await readFile(join(settings.dataDir, "core-keys.json"), "utf8");
    await assert.rejects(rotateCoreKeys({ ...settings, coreKeys: value }), /CORE_KEYS: it holds the keys themselves/);
  });
});
