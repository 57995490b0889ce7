// The images of our Dockerfile, built in a temporary directory and made read-only, as they are run.
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { whyNoRegistry } from "../support/package/registry.ts";
import { createBuilder, type Image } from "./build.ts";
import { filesOf, makeReadOnly } from "./container.ts";
import { type Dockerfile, parseDockerfile } from "./dockerfile.ts";

export const TARGETS = ["edge", "core", "hub"] as const;
export type Target = (typeof TARGETS)[number];

export interface BuiltImage extends Image {
  /** What was in it when it was built. */
  readonly files: readonly string[];
}

export interface OurImages {
  readonly dockerfile: Dockerfile;
  readonly images: Readonly<Record<Target, BuiltImage>>;
  readonly remove: () => Promise<void>;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");

/** A file of the repository. */
export function readRepositoryFile(path: string): Promise<string> {
  return readFile(join(ROOT, path), "utf8");
}

/** Builds them; yields why not if the registry cannot be reached. */
export async function buildOurImages(): Promise<OurImages | { readonly whyNot: string }> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-images-"));
  const remove = () => rm(directory, { recursive: true, force: true, maxRetries: 3 });
  try {
    // The images' user is somebody else where root runs the tests.
    await chmod(directory, 0o755);
    const dockerfile = parseDockerfile(await readRepositoryFile("Dockerfile"));
    const ignore = await readRepositoryFile(".dockerignore");
    const build = createBuilder({ dockerfile, context: ROOT, ignore, directory });
    const readOnly = async (target: Target) => {
      const image = await build(target);
      await makeReadOnly(image);
      return { ...image, files: await filesOf(image) };
    };
    // All are built before one is read-only: they share files.
    await Promise.all(TARGETS.map(build));
    const images = { edge: await readOnly("edge"), core: await readOnly("core"), hub: await readOnly("hub") };
    return { dockerfile, images, remove };
  } catch (error) {
    await remove();
    return { whyNot: whyNoRegistry(error) };
  }
}
