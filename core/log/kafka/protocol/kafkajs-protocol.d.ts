// What of kafkajs is used here: its codecs of Kafka's requests, its hash and its checksum. The package has no exports map, so
// that Node, Deno and Bun all find these files; they are not part of its documented API, so its version is a decision.

declare module "kafkajs/src/protocol/requests/index.js" {
  /** One version of one request: `encode` makes its body, `decode` reads an answer's. Throws on no error code. */
  interface Codec {
    readonly request: {
      readonly apiKey: number;
      readonly apiVersion: number;
      readonly apiName: string;
      encode(): Promise<{ readonly buffer: Uint8Array }>;
    };
    readonly response: { decode(body: Uint8Array): Promise<unknown> };
  }
  interface Definition {
    protocol(options: { version: number }): (fields: object) => Codec;
  }
  const protocol: { readonly requests: Readonly<Record<string, Definition>> };
  export default protocol;
}

declare module "kafkajs/src/broker/saslAuthenticator/plain.js" {
  interface Exchange {
    readonly host: string;
    readonly port: number;
    readonly logger: { debug(): void; error(): void };
    readonly saslAuthenticate: (message: {
      readonly request: { encode(): Promise<Uint8Array> };
      readonly response?: { decode(bytes: Uint8Array): Promise<unknown>; parse(decoded: unknown): unknown };
    }) => Promise<unknown>;
  }
  interface Mechanism {
    (exchange: Exchange): { authenticate(): Promise<void> };
  }
  export default function plain(sasl: { readonly username: string; readonly password: string }): Mechanism;
}

declare module "kafkajs/src/broker/saslAuthenticator/scram256.js" {
  export { default } from "kafkajs/src/broker/saslAuthenticator/plain.js";
}

declare module "kafkajs/src/broker/saslAuthenticator/scram512.js" {
  export { default } from "kafkajs/src/broker/saslAuthenticator/plain.js";
}

declare module "kafkajs/src/broker/saslAuthenticator/oauthBearer.js" {
  import type plain from "kafkajs/src/broker/saslAuthenticator/plain.js";
  export default function oauthBearer(
    sasl: { readonly oauthBearerProvider: () => Promise<{ readonly value: string }> },
  ): ReturnType<typeof plain>;
}

declare module "kafkajs/src/protocol/error.js" {
  const errors: { readonly errorCodes: readonly { readonly type: string; readonly code: number }[] };
  export default errors;
}

declare module "kafkajs/src/protocol/recordBatch/crc32C/index.js" {
  /** CRC-32C, unsigned. */
  export default function crc32C(bytes: Uint8Array): number;
}

declare module "kafkajs/src/producer/partitioners/default/murmur2.js" {
  /** Kafka's own hash of a key, signed 32 bits. */
  export default function murmur2(key: string): number;
}

declare module "kafkajs/src/consumer/assignerProtocol.js" {
  const assignerProtocol: {
    readonly MemberMetadata: {
      encode(
        fields: { readonly version: number; readonly topics: readonly string[]; readonly userData: Uint8Array },
      ): Buffer;
      decode(
        bytes: Buffer,
      ): { readonly version: number; readonly topics: readonly string[]; readonly userData: Uint8Array | null };
    };
    readonly MemberAssignment: {
      encode(
        fields: { readonly version: number; readonly assignment: Readonly<Record<string, readonly number[]>> },
      ): Buffer;
      decode(bytes: Buffer): { readonly assignment: Readonly<Record<string, readonly number[]>> } | null;
    };
  };
  export default assignerProtocol;
}
