// The keys of this process, from its settings, or from the data directory where the first start makes them (ARCHITECTURE §5).
import { join } from "node:path";
import {
  type CoreKey,
  type EdgeKey,
  type EdgePublicKey,
  KeyError,
  makeCoreKey,
  makeEdgeKey,
  parseCoreKeys,
  parseEdgeKey,
  parseEdgeKeys,
} from "../jwks.ts";
import { PREFIX, type Settings } from "../settings/settings.ts";
import { isJson } from "../settings/values.ts";
import { changeKeyFile, readKeySetting, readOrMakeKeyFile } from "./key-files.ts";

type KeySettings = Pick<Settings, "dataDir" | "coreKeys" | "edgeKey" | "edgeKeys">;

/** A core's private keys: CORE_KEYS, else `core-keys.json`. @throws {Error} a sentence for people */
export async function coreKeys({ coreKeys: setting, dataDir }: KeySettings): Promise<readonly CoreKey[]> {
  if (setting !== undefined) return parsed(`${PREFIX}CORE_KEYS`, parseCoreKeys, await readKeySetting(setting));
  const path = coreKeyFile(dataDir);
  const text = await readOrMakeKeyFile(path, async () => textOf({ keys: [await makeCoreKey()] }));
  return parsed(path, parseCoreKeys, text);
}

/** The edge's private key: EDGE_KEY, else `edge-key.json`. @throws {Error} a sentence for people */
export async function edgeKey({ edgeKey: setting, dataDir }: KeySettings): Promise<EdgeKey> {
  if (setting !== undefined) return parsed(`${PREFIX}EDGE_KEY`, parseEdgeKey, await readKeySetting(setting));
  const path = edgeKeyFile(dataDir);
  return parsed(path, parseEdgeKey, await readOrMakeKeyFile(path, async () => textOf(await makeEdgeKey())));
}

/** The edges that a core knows: EDGE_KEYS, else the edge whose key is in this data directory. @throws {Error} a sentence */
export async function knownEdges(settings: KeySettings): Promise<readonly EdgePublicKey[]> {
  const { edgeKeys: setting } = settings;
  if (setting !== undefined) {
    return parsed(`${PREFIX}EDGE_KEYS`, parseEdgeKeys, await readKeySetting(setting, "public"));
  }
  const { kty, crv, kid, x } = await edgeKey(settings);
  return [{ kty, crv, kid, x }];
}

/**
 * Adds a key before the others: new secrets are sealed to it from the next start on, and the core seals older ones to it in the
 * background. Returns its id. @throws {Error} a sentence for people
 */
export async function rotateCoreKeys(settings: KeySettings): Promise<string> {
  const { coreKeys: setting, dataDir } = settings;
  if (setting !== undefined && isJson(setting)) {
    throw new Error(
      `Cannot rotate the keys in ${PREFIX}CORE_KEYS: it holds the keys themselves; put a new one first there`,
    );
  }
  // This makes the file if there is none, and checks it, before it is changed.
  await coreKeys(settings);
  const key = await makeCoreKey();
  const path = setting ?? coreKeyFile(dataDir);
  await changeKeyFile(path, (text) => Promise.resolve(textOf({ keys: [key, ...parsed(path, parseCoreKeys, text)] })));
  return key.kid;
}

/** Makes the keys that this data directory lacks. @throws {Error} a sentence for people */
export async function makeKeys(settings: KeySettings): Promise<void> {
  await coreKeys(settings);
  await edgeKey(settings);
}

/** The settings by which processes with other directories share this directory's keys. */
export function keySettings(settings: KeySettings): Readonly<Record<string, string>> {
  const { coreKeys: core = coreKeyFile(settings.dataDir), edgeKey: edge = edgeKeyFile(settings.dataDir) } = settings;
  return { [`${PREFIX}CORE_KEYS`]: core, [`${PREFIX}EDGE_KEY`]: edge };
}

function coreKeyFile(dataDir: string): string {
  return join(dataDir, "core-keys.json");
}

function edgeKeyFile(dataDir: string): string {
  return join(dataDir, "edge-key.json");
}

function parsed<T>(where: string, parse: (text: string) => T, text: string): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof KeyError) throw new Error(`${where} ${error.message}`, { cause: error });
    throw error;
  }
}

function textOf(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
