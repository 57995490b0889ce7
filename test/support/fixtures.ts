// The documents of test/fixtures, each with the content type that publishers send.

import { readFile } from "node:fs/promises";

export interface Fixture {
  readonly file: string;
  readonly contentType: string;
  /** More headers a publisher sends with it; all of them are on the hub's allow-list (WIRE §3). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

interface Entry {
  readonly file: string;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const directory = new URL("../fixtures/", import.meta.url);

/** Every fixture, in the order of the manifest. */
export async function loadFixtures(): Promise<Fixture[]> {
  const manifest = JSON.parse(await readFile(new URL("manifest.json", directory), "utf8")) as Entry[];
  return Promise.all(manifest.map(async ({ file, contentType, headers = {} }) => ({
    file,
    contentType,
    headers,
    body: await readFile(new URL(file, directory)),
  })));
}
