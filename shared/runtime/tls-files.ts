// Certificates and their keys, from files that may be replaced while the process runs. The files are read every few seconds. A
// new pair that is right is used from then on, without a restart; a wrong one is logged, and the old one stays in use.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { getLogger } from "@logtape/logtape";
import type { Served, ServeTls } from "../serve.ts";

/** Paths of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Authorities of the certificates that clients must have. */
  readonly clientCa?: string | undefined;
}

const logger = getLogger(["tidings", "serve", "tls"]);
const LOOK_EVERY_MS = 5_000;

/** Paths as the settings name them; undefined if there is no certificate. */
export function tlsFilesOf(
  cert: string | undefined,
  key: string | undefined,
  clientCa?: string,
): TlsFiles | undefined {
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa };
}

/** Reads the files, and checks that they go together. @throws {Error} a sentence for people */
export async function readTls({ cert, key, clientCa }: TlsFiles): Promise<ServeTls> {
  const tls = {
    cert: await readPem("the certificate", cert),
    key: await readPem("the private key", key),
    ...(clientCa === undefined ? {} : { clientCa: await readPem("the clients' authorities", clientCa) }),
  };
  try {
    if (!new X509Certificate(tls.cert).checkPrivateKey(createPrivateKey(tls.key))) throw new Error("they do not match");
    createSecureContext({ cert: tls.cert, key: tls.key, ...(clientCa === undefined ? {} : { ca: tls.clientCa! }) });
  } catch (error) {
    throw new Error(`Cannot use the certificate in ${cert} with the key in ${key}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return tls;
}

/** One PEM file. @throws {Error} a sentence for people */
export async function readPem(what: string, path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`Cannot read ${what} in ${path}: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes("-----BEGIN ")) throw new Error(`Cannot use ${what} in ${path}: it is not a PEM file`);
  return text;
}

/** A PEM file of authorities' certificates, each of which can be read. @throws {Error} a sentence for people */
export async function readAuthorities(what: string, path: string): Promise<string> {
  const text = await readPem(what, path);
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) throw new Error(`Cannot use ${what} in ${path}: there is no certificate in it`);
  certificates.forEach((certificate, index) => {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw new Error(`Cannot use ${what} in ${path}: certificate ${index + 1} of it cannot be read`, { cause });
    }
  });
  return text;
}

/** Gives `served` what the files hold, from now on. Returns a function that ends this. */
export function followTls(
  files: TlsFiles,
  first: ServeTls,
  served: Pick<Served, "useTls">,
  everyMs: number = LOOK_EVERY_MS,
): () => void {
  let current = JSON.stringify(first);
  let complaint = "";
  let looking = false;
  const look = async () => {
    try {
      const tls = await readTls(files);
      complaint = "";
      if (JSON.stringify(tls) === current) return;
      served.useTls(tls);
      current = JSON.stringify(tls);
      logger.info("Using the new certificate in {path}", { path: files.cert });
    } catch (error) {
      // Half of a change may be there already: the next look sees the rest.
      const { message } = error as Error;
      if (message !== complaint) logger.error("The certificate stays as it was: {message}", { message });
      complaint = message;
    }
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look().finally(() => looking = false);
  }, everyMs);
  return () => clearInterval(timer);
}
