// Authorities and certificates for tests: elliptic keys, valid for a day, as texts or as files in a temporary directory.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";

/** PEM texts of an authority, or paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  /** The authority's certificate, PEM. */
  readonly ca: string;
  /** A certificate as PEM texts, for servers and clients, for these names (DNS names or IPv4 addresses). */
  issue(...names: string[]): Promise<Certificate>;
  /** The same, but valid for a day that begins in so many days. */
  issueFrom(days: number, ...names: string[]): Promise<Certificate>;
}

export interface Certificates extends AsyncDisposable {
  readonly directory: string;
  /** The authority's own certificate, a path. */
  readonly ca: string;
  /** Paths of a certificate by this authority: for 127.0.0.1 and localhost, or for this name alone. */
  issue(name: string, host?: string): Promise<Certificate>;
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** Makes an authority; its files are removed with it. */
export async function createAuthority(): Promise<Authority> {
  const kind = {
    keyType: "ec",
    curve: "P-256",
    algorithm: "sha256",
    notBeforeDate: new Date(Date.now() - DAY_MS),
    notAfterDate: new Date(Date.now() + DAY_MS),
  } as const;
  const authority = await generate([{ name: "commonName", value: "test authority" }], {
    ...kind,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const issue = async (names: readonly string[], valid: { notBeforeDate: Date; notAfterDate: Date }) => {
    const altNames = names.map((name) =>
      /^[\d.]+$/.test(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name }
    );
    const made = await generate([{ name: "commonName", value: names[0] ?? "nobody" }], {
      ...kind,
      ...valid,
      ca: { key: authority.private, cert: authority.cert },
      extensions: [
        { name: "basicConstraints", cA: false },
        { name: "extKeyUsage", serverAuth: true, clientAuth: true },
        { name: "subjectAltName", altNames },
      ],
    });
    return { cert: made.cert, key: made.private };
  };
  return {
    ca: authority.cert,
    issue: (...names) => issue(names, kind),
    issueFrom: (days, ...names) => {
      const from = Date.now() + days * DAY_MS;
      return issue(names, { notBeforeDate: new Date(from), notAfterDate: new Date(from + DAY_MS) });
    },
  };
}

/** Runs a test while the environment tells the runtime to check no certificates. */
export async function withChecksTurnedOff<T>(act: () => Promise<T>): Promise<T> {
  const { NODE_TLS_REJECT_UNAUTHORIZED: before } = process.env;
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  try {
    return await act();
  } finally {
    if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
  }
}

export async function openCertificates(): Promise<Certificates> {
  const directory = await mkdtemp(join(tmpdir(), "tidings-tls-"));
  const close = () => rm(directory, { recursive: true, force: true, maxRetries: 3 });
  const authority = await createAuthority();
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };
  return {
    directory,
    ca: await write("ca.pem", authority.ca),
    async issue(name, host) {
      const { cert, key } = await authority.issue(...(host === undefined ? ["127.0.0.1", "localhost"] : [host]));
      return { cert: await write(`${name}.pem`, cert), key: await write(`${name}.key`, key) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
