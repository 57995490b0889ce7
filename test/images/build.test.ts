// What builds the images must refuse what Docker would refuse.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createBuilder } from "./build.ts";
import { createIgnored } from "./docker-ignore.ts";
import { parseDockerfile } from "./dockerfile.ts";

describe("the builder of images", () => {
  let directory: string;
  let builds = 0;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "tidings-builder-"));
    const context = join(directory, "context");
    await mkdir(join(context, "kept/inner"), { recursive: true });
    for (const path of ["kept/a.txt", "kept/inner/b.txt", "kept/inner/b.log", "left-out.txt"]) {
      await writeFile(join(context, path), path);
    }
  });
  after(() => rm(directory, { recursive: true }));

  const build = async (steps: string) => {
    const dockerfile = parseDockerfile(`FROM gcr.io/distroless/cc-test:tag AS base\n${steps}\nFROM base AS last\n`);
    const stages = join(directory, String(builds++));
    await mkdir(stages);
    const [context, ignore] = [join(directory, "context"), "*\n!kept\n**/*.log\n"];
    return await createBuilder({ dockerfile, context, ignore, directory: stages })("last");
  };

  it("copies what .dockerignore leaves, and hands on what a stage says of itself", async () => {
    const image = await build(`WORKDIR /app\nCOPY kept ./kept\nENV A=1\nENV B=2\nUSER 7:8\nCMD ["a", "b"]`);
    const files = await readdir(join(image.root, "app"), { recursive: true });
    assert.deepEqual(files.toSorted(), ["kept", "kept/a.txt", "kept/inner", "kept/inner/b.txt"]);
    const { env, user, cmd, workdir } = image;
    assert.deepEqual({ env, user, cmd, workdir }, {
      env: { A: "1", B: "2" },
      user: "7:8",
      cmd: ["a", "b"],
      workdir: "/app",
    });
  });

  for (
    const [title, steps, says] of [
      ["a file that is not there", "COPY missing.txt /", /COPY missing\.txt: it is not there/],
      [
        "a file that .dockerignore leaves out",
        "COPY left-out.txt /",
        /COPY left-out\.txt: \.dockerignore leaves it out/,
      ],
      ["a command that needs a shell", "CMD node main.ts", /CMD node main\.ts: it must be in the exec form/],
      ["a health check that needs a shell", "HEALTHCHECK CMD curl -f /", /must be in the exec form/],
      ["an instruction that it does not know", "ADD kept /", /does not know ADD/],
      ["a step that fails", "RUN exit 3", /ended with 3/],
    ] as const
  ) it(`refuses ${title}`, async () => await assert.rejects(build(steps), says));
});

describe(".dockerignore", () => {
  it("lets the last line that matches a file or its folder decide", () => {
    const isIgnored = createIgnored("# all but this\n*\n!src\n!docs/*.md\nsrc/secret\n**/*.log\n");
    for (const path of ["a", "docs", "docs/a.txt", "src/secret", "src/secret/key", "src/a.log", "src/b/a.log"]) {
      assert.ok(isIgnored(path), path);
    }
    for (const path of ["src", "src/a", "src/b/c", "src/secrets", "docs/a.md"]) assert.ok(!isIgnored(path), path);
  });
});
