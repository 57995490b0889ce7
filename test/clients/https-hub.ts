// A hub on https: old readers send a secret over nothing else.
import { readFile } from "node:fs/promises";
import { openOwnHub, type OwnHub } from "../support/hub/hub.ts";
import { type Certificates, openCertificates } from "../support/servers/certificates.ts";

export interface HttpsHub extends AsyncDisposable {
  readonly hub: OwnHub;
  /** The authority of its certificate, as PEM, and as a file. */
  readonly ca: string;
  readonly caFile: string;
}

/** Opens a hub with a certificate by an authority of its own. */
export async function openHttpsHub(): Promise<HttpsHub> {
  const certificates = await openCertificates();
  try {
    const hub = await openOwnHub({ tls: true, settings: await tlsSettings(certificates) });
    return {
      hub,
      ca: await readFile(certificates.ca, "utf8"),
      caFile: certificates.ca,
      async [Symbol.asyncDispose]() {
        await hub.close();
        await certificates.close();
      },
    };
  } catch (error) {
    await certificates.close();
    throw error;
  }
}

async function tlsSettings(certificates: Certificates): Promise<Record<string, string>> {
  const [core, edge] = [await certificates.issue("core"), await certificates.issue("edge")];
  return {
    TIDINGS_CORE_TLS_CERT: core.cert,
    TIDINGS_CORE_TLS_KEY: core.key,
    TIDINGS_CORE_CA: certificates.ca,
    TIDINGS_EDGE_TLS_CERT: edge.cert,
    TIDINGS_EDGE_TLS_KEY: edge.key,
  };
}
