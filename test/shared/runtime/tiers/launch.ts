// The real launcher over the two tiers beside this file.
import { launch } from "../../../../shared/runtime/launcher.ts";

process.exit(
  await launch({
    scripts: { core: new URL("core.ts", import.meta.url), edge: new URL("edge.ts", import.meta.url) },
    environment: process.env,
    cores: Array.from({ length: Number(process.env["TIDINGS_TEST_CORES"] ?? 1) }, () => ({})),
    ready: ({ cores, edge }) => console.log(`both ready: ${cores.join(" ")} ${edge}`),
  }),
);
