// `npm run build:worker`: the edge as one module for workerd, dist/worker.js, and beside it wrangler.jsonc, which is kept if it is there.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DIST = `${ROOT}dist`;

mkdirSync(DIST, { recursive: true });
// It is built aside and then moved, so a reader of the bundle meanwhile has the old one or the new one.
const aside = mkdtempSync(`${DIST}/.worker-`);
let status: number | null;
try {
  ({ status } = spawnSync(`${ROOT}node_modules/.bin/esbuild`, [
    "edge/worker.ts",
    "--bundle",
    "--format=esm",
    "--target=es2024",
    "--minify",
    "--sourcemap",
    "--legal-comments=none",
    "--external:cloudflare:workers",
    "--log-level=warning",
    `--outfile=${aside}/worker.js`,
  ], { cwd: ROOT, stdio: "inherit" }));
  if (status === 0) {
    for (const name of ["worker.js.map", "worker.js"]) renameSync(`${aside}/${name}`, `${DIST}/${name}`);
  }
} finally {
  rmSync(aside, { recursive: true, force: true });
}
// esbuild has said what is wrong.
if (status !== 0) process.exit(status ?? 1);
const settings = `${DIST}/wrangler.jsonc`;
if (!existsSync(settings)) copyFileSync(new URL("wrangler.jsonc", import.meta.url), settings);
const bundle = readFileSync(`${DIST}/worker.js`);
console.log(`dist/worker.js: ${bundle.length} bytes, ${gzipSync(bundle, { level: 9 }).length} as gzip`);
