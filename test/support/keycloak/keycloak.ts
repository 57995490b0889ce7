// A real Keycloak for tests, on a free port of 127.0.0.1, with data of its own. It can be stopped, paused and started again on the
// same port and data. It never outlives the process that started it.
import { cp, mkdir, mkdtemp, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { createJavaServer, type JavaServer } from "../java/java-server.ts";
import { keycloakDirectory } from "./distribution.ts";

export interface Keycloak extends JavaServer, AsyncDisposable {
  /** Its address without a path, the same for life. */
  readonly origin: string;
}

/** The name and password of its administrator. */
export const ADMINISTRATOR = { username: "admin", password: "of-a-test" } as const;

const READY_DEADLINE_MS = 120_000;
/** As `kc.sh` has them, but for a short life on few cores. */
const JVM = [
  "-Xms64m",
  "-Xmx512m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-Xshare:auto",
  ...["java.util", "java.util.concurrent", "java.security", "java.lang"].map((name) =>
    `--add-opens=java.base/${name}=ALL-UNNAMED`
  ),
  "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
  "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
  "-Dkc.config.built=true",
];

/** Starts Keycloak, in 8 s on a quiet machine. @throws {Error} with its output if it does not come up */
export async function startKeycloak(): Promise<Keycloak> {
  const distribution = await keycloakDirectory();
  const directory = await mkdtemp(join(tmpdir(), "tidings-keycloak-"));
  const port = await freePort();
  for (const name of ["lib", "providers", "themes"]) await symlink(join(distribution, name), join(directory, name));
  await cp(join(distribution, "conf"), join(directory, "conf"), { recursive: true });
  await mkdir(join(directory, "data"));
  const place = [`-Dkc.home.dir=${directory}`, "-cp", join(directory, "lib/quarkus-run.jar")];
  const main = ["io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--cache=local"];
  const http = ["--http-enabled=true", "--http-host=127.0.0.1", `--http-port=${port}`, "--hostname-strict=false"];
  const args = [...JVM, ...place, ...main, ...http];
  const server = createJavaServer({
    name: "Keycloak",
    args,
    directory,
    ready: "Listening on:",
    readyWithinMs: READY_DEADLINE_MS,
    env: environment(),
  });
  try {
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return Object.assign(server, { origin: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.close() });
}

/** What is set for this process and means something to Keycloak or to a hub is not for it. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:KC|QUARKUS|TIDINGS)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    KC_BOOTSTRAP_ADMIN_USERNAME: ADMINISTRATOR.username,
    KC_BOOTSTRAP_ADMIN_PASSWORD: ADMINISTRATOR.password,
  };
}
