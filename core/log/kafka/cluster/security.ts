// What a broker may demand of a connection: TLS, and authentication with SASL.

export interface KafkaSecurity {
  readonly tls?: KafkaTls | undefined;
  readonly sasl?: KafkaSasl | undefined;
}

/** PEM texts. */
export interface KafkaTls {
  /** Authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Our own certificate and its key, if the broker asks for one. */
  readonly cert?: string;
  readonly key?: string;
}

export type KafkaSasl =
  | {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  }
  | {
    readonly mechanism: "oauthbearer";
    /** An access token that is valid now. @throws {Error} */
    readonly token: () => Promise<string>;
  };
