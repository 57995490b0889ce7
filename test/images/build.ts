// Builds the stages of a Dockerfile as directories, without Docker: it copies what COPY says, runs what RUN says, and yields what the
// image would be run with. It knows the instructions that our Dockerfile has, and refuses any other.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, cp, mkdir, stat } from "node:fs/promises";
import { delimiter, dirname, join, posix, resolve } from "node:path";
import process from "node:process";
import { createIgnored } from "./docker-ignore.ts";
import type { Dockerfile, Stage, Step } from "./dockerfile.ts";

/** A stage as it was built, with what its image says about itself. */
export interface Image {
  /** The directory that stands for `/`. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly workdir: string;
  /** As USER says. */
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
  readonly exposed: readonly string[];
  readonly volumes: readonly string[];
}

export interface Build {
  readonly dockerfile: Dockerfile;
  /** The directory of the repository, and its .dockerignore. */
  readonly context: string;
  readonly ignore: string;
  /** Where the stages go; all users may read it. */
  readonly directory: string;
}

export type Builder = (target: string) => Promise<Image>;

/** What a step of each kind makes of the image so far. */
type Steps = Readonly<Record<string, (image: Image, step: Step) => Promise<Image> | Image>>;

const NOTHING: Omit<Image, "root"> = {
  env: {},
  labels: {},
  workdir: "/",
  user: "0",
  entrypoint: [],
  cmd: [],
  healthcheck: [],
  stopSignal: "SIGTERM",
  exposed: [],
  volumes: [],
};

/** Yields a function that builds a stage, and those that it needs, once. */
export function createBuilder({ dockerfile, context, ignore, directory }: Build): Builder {
  const built = new Map<string, Promise<Image>>();
  const isIgnored = createIgnored(ignore);
  const build: Builder = (target) => {
    const stage = dockerfile.stages.find(({ name }) => name === target);
    if (stage === undefined) throw new Error(`There is no stage ${target}`);
    const image = built.get(target) ?? buildStage(stage);
    built.set(target, image);
    return image;
  };

  async function buildStage({ name, from, steps }: Stage): Promise<Image> {
    const root = join(directory, name);
    const isStage = dockerfile.stages.some((stage) => stage.name === from);
    let image: Image = isStage ? await inherit(await build(from), root) : await foreignImage(from, root);
    for (const step of steps) {
      const take = STEPS[step.keyword];
      if (take === undefined) throw new Error(`This builder does not know ${step.keyword}`);
      image = await take(image, step);
    }
    return image;
  }

  const STEPS: Steps = {
    async COPY(image, { args, flags }) {
      const [sources, to] = [args.slice(0, -1), args.at(-1)!];
      const stage = flags["from"] === undefined ? undefined : await build(flags["from"]);
      const destination = posix.resolve(image.workdir, to);
      for (const source of sources) {
        const path = join(stage?.root ?? context, source);
        const found = await stat(path).catch(() => undefined);
        if (found === undefined) throw new Error(`COPY ${source}: it is not there`);
        if (stage === undefined && isIgnored(source)) throw new Error(`COPY ${source}: .dockerignore leaves it out`);
        const within = found.isFile() && to.endsWith("/")
          ? posix.join(destination, posix.basename(source))
          : destination;
        await mkdir(dirname(join(image.root, within)), { recursive: true });
        const filter = (file: string) => !isIgnored(file.slice(context.length).replace(/^\//, ""));
        if (stage === undefined) await cp(path, join(image.root, within), { recursive: true, filter });
        else await share(path, join(image.root, within), flags["chown"] ?? flags["chmod"]);
      }
      // Only root can give files away; otherwise they are the user's who runs all of this.
      if (isRoot()) await tool(image, "chown", "-R", flags["chown"] ?? "0:0", destination);
      if (flags["chmod"] !== undefined) await tool(image, "chmod", "-R", flags["chmod"], destination);
      return image;
    },
    async RUN(image, { text, words }) {
      if (words !== undefined) throw new Error("This builder knows RUN in its shell form");
      await run("sh", ["-ec", placed(image.root, text)], image, userOf(image));
      return image;
    },
    async WORKDIR(image, { args: [path = ""] }) {
      await mkdir(join(image.root, path), { recursive: true });
      return { ...image, workdir: path };
    },
    ENV: (image, { properties }) => ({ ...image, env: { ...image.env, ...properties } }),
    LABEL: (image, { properties }) => ({ ...image, labels: { ...image.labels, ...properties } }),
    USER: (image, { text }) => ({ ...image, user: text }),
    STOPSIGNAL: (image, { text }) => ({ ...image, stopSignal: text }),
    EXPOSE: (image, { args }) => ({ ...image, exposed: [...image.exposed, ...args] }),
    VOLUME: (image, step) => ({ ...image, volumes: execForm(step) }),
    ENTRYPOINT: (image, step) => ({ ...image, entrypoint: execForm(step), cmd: [] }),
    CMD: (image, step) => ({ ...image, cmd: execForm(step) }),
    HEALTHCHECK: (image, step) => ({ ...image, healthcheck: execForm(step) }),
  };
  return build;
}

/** A text in which absolute paths lead into an image's directory. */
export function placed(root: string, text: string): string {
  return text.replace(/(?<![\w./-])\/(?:app|data|tmp|usr\/local\/bin)(?![\w-])/g, (path) => `${root}${path}`);
}

/** Who a step or a container runs as. Only root can become somebody else. */
export function userOf({ user }: Pick<Image, "user">): { readonly uid?: number; readonly gid?: number } {
  const [uid = 0, gid = uid] = user.split(":").map(Number);
  return isRoot() ? { uid, gid } : {};
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Without an exec form Docker runs a shell, and the images have none. */
function execForm({ keyword, text, words }: Step): readonly string[] {
  if (words === undefined) throw new Error(`${keyword} ${text}: it must be in the exec form`);
  return words;
}

/** What the tests have of images that are not ours: this process's Node, and nothing of the base image. */
async function foreignImage(from: string, root: string): Promise<Image> {
  await mkdir(join(root, "tmp"), { recursive: true });
  const image = { ...NOTHING, root };
  await tool(image, "chmod", "1777", "/tmp");
  if (from.startsWith("node:")) {
    const bin = join(root, "usr/local/bin");
    await mkdir(bin, { recursive: true });
    await copyFile(process.execPath, join(bin, "node"));
  } else if (!from.startsWith("gcr.io/distroless/cc-")) throw new Error(`This builder has no image ${from}`);
  return image;
}

async function inherit(image: Image, root: string): Promise<Image> {
  await share(image.root, root);
  return { ...image, root };
}

/** Copies between stages; as no step changes a file in place, they share files, unless some are to be others' or have other rights. */
async function share(from: string, to: string, change?: string): Promise<void> {
  await run("cp", [change === undefined ? "-alT" : "-aT", from, to], { ...NOTHING, root: "/" }, {});
}

function tool(image: Image, command: string, ...args: readonly string[]): Promise<void> {
  return run(command, args.map((arg) => placed(image.root, arg)), image, {});
}

async function run(
  command: string,
  args: readonly string[],
  { root, workdir, env }: Image,
  user: { readonly uid?: number; readonly gid?: number },
): Promise<void> {
  const inherited = Object.entries(process.env).filter(([name]) =>
    !/^(?:TIDINGS_|NODE_|npm_(?:package|lifecycle))/.test(name)
  );
  const child = spawn(command, args, {
    cwd: resolve(join(root, workdir)),
    env: {
      ...Object.fromEntries(inherited),
      // What npm ci has fetched for this repository need not be fetched again.
      npm_config_prefer_offline: "true",
      npm_config_update_notifier: "false",
      PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter),
      ...placedIn(root, env),
    },
    stdio: ["ignore", "pipe", "pipe"],
    ...user,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => void (output += part));
  }
  const [code] = await once(child, "close") as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output}`);
}

/** The environment of an image, its paths led into its directory. */
export function placedIn(root: string, env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, placed(root, value)]));
}
