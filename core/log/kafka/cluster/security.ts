// How a broker is spoken to where it wants more than a name: TLS, and who we are (SASL).

export interface KafkaSecurity {
  readonly tls?: KafkaTls | undefined;
  readonly sasl?: KafkaSasl | undefined;
}

/** PEM texts. */
export interface KafkaTls {
  /** Authorities to trust instead of the system's. */
  readonly ca?: string;
  /** Our own certificate and its key, where the broker asks for one. */
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
    /** An access token that counts now. @throws {Error} */
    readonly token: () => Promise<string>;
  };
