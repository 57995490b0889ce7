// A real Keycloak for tests, on a free port of 127.0.0.1, with data of its own. It can be stopped, paused and started again on the
// same port and data. It never outlives the process that started it.
import { cp, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";
import { type JavaServer, startJavaServer } from "../java/java-server.ts";
import { keycloakDirectory } from "./distribution.ts";

export interface Keycloak extends AsyncDisposable {
  /** Its address without a path, the same for life. */
  readonly origin: string;
  readonly pid: number | undefined;
  /** Asks it to end and waits; its data stay. */
  stop(): Promise<void>;
  /** Stops its clock (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void;
  /** Lets it go on (SIGCONT). */
  resume(): void;
  /** Starts it again after `stop`; resolves when it serves. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  close(): Promise<void>;
}

/** The name and password of its administrator. */
export const ADMINISTRATOR = { username: "admin", password: "of-a-test" } as const;

const READY_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 20_000;
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
  let running: JavaServer | undefined;
  const start = async () => {
    if (running !== undefined) throw new Error("Keycloak runs already");
    running = await startJavaServer({
      name: "Keycloak",
      args,
      directory,
      ready: "Listening on:",
      readyWithinMs: READY_DEADLINE_MS,
      env: environment(),
    });
    void running.exited.then(() => running = undefined);
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = running;
    if (ending === undefined) return;
    const late = setTimeout(() => ending.signal("SIGKILL"), STOP_DEADLINE_MS);
    ending.signal(signal);
    await ending.exited;
    clearTimeout(late);
  };
  const close = async () => {
    await end("SIGKILL");
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await start();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    get pid() {
      return running?.pid;
    },
    stop: () => end("SIGTERM"),
    pause: () => running?.signal("SIGSTOP"),
    resume: () => running?.signal("SIGCONT"),
    start,
    close,
    [Symbol.asyncDispose]: close,
  };
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
