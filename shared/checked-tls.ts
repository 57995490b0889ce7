// The demands of every TLS client of the hub: on cores, issuers, brokers and callbacks alike.

/**
 * Certificates are checked (H68), and old versions are refused. NODE_TLS_REJECT_UNAUTHORIZED and NODE_OPTIONS in the environment
 * change the defaults of a runtime, not what is said here.
 */
export const CHECKED = { rejectUnauthorized: true, minVersion: "TLSv1.2" } as const;
