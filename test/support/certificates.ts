// Certificates for TLS servers of tests, made on the spot: an authority of the test's own, and what it signs. Node can read
// X.509 but not write it, so the little DER there is stands here (RFC 5280 §4.1).

import { createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface Authority {
  /** PEM, to be trusted. */
  readonly ca: string;
  /** A certificate for these names (DNS names, or IPv4 addresses). */
  issue(...names: string[]): Certificate;
}

/** Makes an authority; nothing of it outlives the test. */
export function createAuthority(): Authority {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = nameOf("Test authority");
  // basicConstraints: an authority.
  const isAuthority = extension("551d13", sequence(tlv(0x01, Buffer.from([0xff]))));
  return {
    ca: certificate({ subject, issuer: subject, key: privateKey, signer: privateKey, extensions: [isAuthority] }),
    issue: (...names) => {
      const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const extensions = [extension("551d11", sequence(...names.map(generalName)))];
      const cert = certificate({
        subject: nameOf(names[0] ?? "nobody"),
        issuer: subject,
        key,
        signer: privateKey,
        extensions,
      });
      return { cert, key: key.export({ type: "pkcs8", format: "pem" }).toString() };
    },
  };
}

const ECDSA_SHA256 = sequence(tlv(0x06, Buffer.from("2a8648ce3d040302", "hex")));

function certificate({ subject, issuer, key, signer, extensions }: {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
}): string {
  const serial = tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const validity = sequence(time(Date.now() - 3_600_000), time(Date.now() + 86_400_000));
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const version = tlv(0xa0, tlv(0x02, Buffer.from([2])));
  const tbs = sequence(
    version,
    serial,
    ECDSA_SHA256,
    issuer,
    validity,
    subject,
    spki,
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = tlv(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", tbs, signer)]));
  const der = sequence(tbs, ECDSA_SHA256, signature).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${der.match(/.{1,64}/g)!.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), value]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function nameOf(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(tlv(0x06, Buffer.from("550403", "hex")), tlv(0x0c, Buffer.from(commonName)))));
}

function extension(oid: string, value: Buffer): Buffer {
  return sequence(tlv(0x06, Buffer.from(oid, "hex")), tlv(0x04, value));
}

function generalName(name: string): Buffer {
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(name);
  return isAddress ? tlv(0x87, Buffer.from(name.split(".").map(Number))) : tlv(0x82, Buffer.from(name));
}

function time(ms: number): Buffer {
  return tlv(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));
}
