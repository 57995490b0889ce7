// Looks names up as the system would (hosts file, search domains, all name servers), but asynchronously: a name server that says
// nothing costs a socket and a timer, never a thread.

import { pause } from "../../pause.ts";
import { AttemptsError, firstToSucceed } from "../../stagger.ts";
import { timeLimit } from "../../time-limit.ts";
import { type Answer, ask, type NameServer } from "./ask.ts";
import { type Family, isAskable } from "./message.ts";
import type { ResolvConf, SystemFiles } from "./system-files.ts";

/** What is known of a name. */
export interface Found {
  /** IPv6 before IPv4, as the name servers gave them; at least one. */
  readonly addresses: readonly string[];
  /** A family about which no server has said anything in time. */
  readonly unknown?: Family;
}

/** There is nothing to dial. `ENOTFOUND`: the name has no address; `EAI_AGAIN`: nobody can say now. */
export class NameError extends Error {
  readonly code: "ENOTFOUND" | "EAI_AGAIN";
  constructor(name: string, code: "ENOTFOUND" | "EAI_AGAIN", why: string) {
    super(`"${name}" ${why}`);
    this.name = "NameError";
    this.code = code;
  }
}

/** All tries for one name together, ms. */
const LOOK_UP_MS = 10_000;
/** If a server has not answered in this time, the next one is asked as well, or the same one again. */
const NEXT_SERVER_MS = 1_500;
/** After the first addresses the other family has this much longer (RFC 8305 §3 asks for less, but then the guard sees less, too). */
const OTHER_FAMILY_MS = 500;
/** Names of names that are asked for one after another, if a server does not follow them itself. */
const MOST_ALIASES = 8;

type Timed = Found & { readonly ttlMs: number };

type Fate =
  | { readonly kind: "addresses"; readonly addresses: readonly string[]; readonly ttlMs: number }
  | { readonly kind: "none" }
  /** All servers failed, or said nothing. */
  | { readonly kind: "unable" | "silent" };

export class Resolver {
  readonly #files: SystemFiles;
  readonly #port: number;
  /** The server that answered last is asked first, so that one that is down delays few. */
  #preferred: string | undefined;
  #turn = 0;

  constructor(files: SystemFiles, port: number) {
    this.#files = files;
    this.#port = port;
  }

  /** Asks the name servers. @throws {NameError} */
  async lookUp(name: string): Promise<Timed> {
    const limit = timeLimit(LOOK_UP_MS);
    try {
      return await this.#candidates(name, this.#files.resolvConf, limit.signal);
    } finally {
      limit.end();
    }
  }

  async #candidates(name: string, conf: ResolvConf, over: AbortSignal): Promise<Timed> {
    let isUnable = false;
    for (const candidate of candidatesOf(name, conf)) {
      const [found, fates] = await this.#both(candidate, conf, over);
      if (found !== undefined) return found;
      isUnable ||= fates.some(({ kind }) => kind !== "none");
      // As in the GNU C library: servers that say nothing will say nothing about the next name either.
      if (fates.some(({ kind }) => kind === "silent")) break;
    }
    if (isUnable) throw new NameError(name, "EAI_AGAIN", "could not be looked up: no name server gave a usable answer");
    throw new NameError(name, "ENOTFOUND", "has no address");
  }

  /** Both families at once. */
  async #both(name: string, conf: ResolvConf, over: AbortSignal): Promise<[Timed | undefined, Fate[]]> {
    const families: readonly Family[] = conf.onlyIpv4 ? [4] : [6, 4];
    const enough = new AbortController();
    const onOver = () => enough.abort();
    over.addEventListener("abort", onOver);
    if (over.aborted) onOver();
    const fates = await Promise.all(families.map(async (family) => {
      const fate = await this.#family(name, family, conf, enough.signal);
      if (fate.kind === "addresses") void pause(OTHER_FAMILY_MS, enough.signal).then(onOver);
      return fate;
    }));
    over.removeEventListener("abort", onOver);
    onOver();
    const found = fates.filter((fate) => fate.kind === "addresses");
    if (found.length === 0) return [undefined, fates];
    const unknown = families.find((_family, n) => fates[n]!.kind !== "addresses" && fates[n]!.kind !== "none");
    const addresses = found.flatMap((fate) => fate.addresses);
    const ttlMs = Math.min(...found.map((fate) => fate.ttlMs));
    return [{ addresses, ttlMs, ...(unknown === undefined ? {} : { unknown }) }, fates];
  }

  async #family(name: string, family: Family, conf: ResolvConf, signal: AbortSignal): Promise<Fate> {
    let [asked, ttlMs] = [name, Infinity];
    for (let n = 0; n < MOST_ALIASES; n++) {
      const answer = await this.#servers(asked, family, conf, signal);
      if (answer.kind === "addresses") return { ...answer, ttlMs: Math.min(ttlMs, answer.ttlMs) };
      if (answer.kind !== "alias") return answer;
      [asked, ttlMs] = [answer.name, Math.min(ttlMs, answer.ttlMs)];
    }
    return { kind: "unable" };
  }

  /** Asks one server after another until one knows. */
  async #servers(
    name: string,
    family: Family,
    conf: ResolvConf,
    signal: AbortSignal,
  ): Promise<Answer | { kind: "silent" }> {
    const { timeoutMs, tcp } = conf;
    const servers = this.#order(conf);
    const attempts = Array.from({ length: conf.attempts }, () => servers).flat().map(
      (server) => async (ended: AbortSignal) => {
        const answer = await ask({ server, name, family, timeoutMs, tcp }, ended);
        if (answer.kind === "unable") throw new UnableError(`the name server ${server.address} cannot say`);
        this.#preferred = server.address;
        return answer;
      },
    );
    try {
      return await firstToSucceed(attempts, Math.min(NEXT_SERVER_MS, timeoutMs), signal);
    } catch (error) {
      const isUnable = (error as AttemptsError).errors.some((one) => one instanceof UnableError);
      return { kind: isUnable ? "unable" : "silent" };
    }
  }

  #order({ servers, rotate }: ResolvConf): NameServer[] {
    const first = rotate ? this.#turn++ % servers.length : Math.max(0, servers.indexOf(this.#preferred ?? ""));
    return [...servers.slice(first), ...servers.slice(0, first)].map((address) => ({ address, port: this.#port }));
  }
}

/** A server answered that it cannot or will not say. */
class UnableError extends Error {}

/** The full names that a name may stand for, in order (resolv.conf(5)). A final dot says that a name is full. */
function candidatesOf(name: string, { search, ndots }: ResolvConf): string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)].filter(isAskable);
  const searched = search.map((domain) => `${name}.${domain}`);
  const isFull = name.split(".").length - 1 >= ndots;
  return (isFull ? [name, ...searched] : [...searched, name]).filter(isAskable);
}
