// Undoes content codings, with a cap on what comes out: a few KiB can be made to unpack to gigabytes (WIRE §7).

import { brotliDecompress, gunzip, inflate, inflateRaw } from "node:zlib";

type Unpack = (
  data: Uint8Array,
  options: { maxOutputLength: number },
  done: (error: Error | null, result: Uint8Array) => void,
) => void;

export type Decompressed =
  | { readonly kind: "body"; readonly body: Uint8Array }
  /** One of the codings is not known here; the body stays as it came. */
  | { readonly kind: "unknown" }
  | { readonly kind: "too_large" }
  | { readonly kind: "garbage"; readonly reason: string };

/** Undoes a Content-Encoding value (gzip, deflate, br; at most three of them), never yielding more than `maxBytes`. */
export async function decompress(body: Uint8Array, encoding: string, maxBytes: number): Promise<Decompressed> {
  const codings = encoding.toLowerCase().split(",").map((coding) => coding.trim()).filter((coding) =>
    coding !== "" && coding !== "identity"
  );
  if (codings.length > 3) return { kind: "garbage", reason: `${codings.length} content codings` };
  let current = body;
  for (const coding of codings.reverse()) {
    const unpack = unpackerOf(coding, current);
    if (unpack === null) return { kind: "unknown" };
    try {
      current = await new Promise<Uint8Array>((resolve, reject) => {
        // zlib does not take a limit of 0.
        unpack(current, { maxOutputLength: Math.max(1, maxBytes) }, (error, result) => {
          if (error === null) resolve(result);
          else reject(error);
        });
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") return { kind: "too_large" };
      return { kind: "garbage", reason: `no valid ${coding}: ${(error as Error).message}` };
    }
  }
  return { kind: "body", body: current };
}

function unpackerOf(coding: string, body: Uint8Array): Unpack | null {
  if (coding === "gzip" || coding === "x-gzip") return gunzip;
  if (coding === "br") return brotliDecompress;
  if (coding !== "deflate") return null;
  // RFC 9110 §8.4.1.2 says zlib format; some servers send the bare stream. CM = 8 in the low nibble tells them apart.
  return (body[0]! & 0x0f) === 8 ? inflate : inflateRaw;
}
