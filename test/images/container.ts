// Runs an image that build.ts has built as its user: the very command, nothing in the environment but what the image and the operator
// say, no other program to be found, and no file to be written but in a volume.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Image, placed, placedIn, userOf } from "./build.ts";

export interface Container extends AsyncDisposable {
  readonly output: () => string;
  /** Runs the image's health check in it; resolves to its exit code and what it said. */
  readonly health: (
    more?: Readonly<Record<string, string>>,
  ) => Promise<{ readonly code: number | null; readonly said: string }>;
  /** Sends the image's stop signal; resolves to the exit code. */
  readonly stop: () => Promise<number | null>;
  /** Resolves to the exit code when it ends. */
  readonly ended: Promise<number | null>;
}

/** `settings` are what an operator gives with `docker run -e`. */
export function startContainer(image: Image, settings: Readonly<Record<string, string>>): Container {
  const main = execute(image, [...image.entrypoint, ...image.cmd], settings);
  return {
    output: main.output,
    ended: main.ended,
    async health(more = {}) {
      const check = execute(image, image.healthcheck, { ...settings, ...more });
      return { code: await check.ended, said: check.output() };
    },
    async stop() {
      main.child.kill(image.stopSignal as NodeJS.Signals);
      return await main.ended;
    },
    async [Symbol.asyncDispose]() {
      main.child.kill("SIGKILL");
      await main.ended;
    },
  };
}

/** All files of an image but those in its volumes, with their times of change. */
export async function filesOf({ root, volumes }: Image): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries.map(({ parentPath, name }) => join(parentPath, name).slice(root.length))
    .filter((path) => !volumes.some((volume) => path === volume || path.startsWith(`${volume}/`))).toSorted();
}

/** Takes from everybody the right to write in the image, but for its volumes. */
export async function makeReadOnly({ root, volumes }: Image): Promise<void> {
  const found = await readdir(root);
  const fixed = found.filter((name) => !volumes.includes(`/${name}`)).map((name) => join(root, name));
  const [code] = await once(spawn("chmod", ["-R", "a-w", ...fixed]), "exit") as [number];
  if (code !== 0) throw new Error(`chmod ended with ${code}`);
  await once(spawn("chmod", ["a-w", root]), "exit");
}

function execute(
  image: Image,
  [command = "", ...args]: readonly string[],
  settings: Readonly<Record<string, string>>,
): { readonly child: ChildProcess; readonly output: () => string; readonly ended: Promise<number | null> } {
  const { root, env, workdir } = image;
  const child = spawn(placed(root, command), args.map((arg) => placed(root, arg)), {
    cwd: join(root, workdir),
    // The image has one program, and temporary files have no place.
    env: { PATH: placed(root, "/usr/local/bin"), TMPDIR: placed(root, "/tmp"), ...placedIn(root, env), ...settings },
    stdio: ["ignore", "pipe", "pipe"],
    ...userOf(image),
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => void (output += part));
  }
  const ended = once(child, "close").then(([code]) => code as number | null);
  return { child, output: () => output, ended };
}
