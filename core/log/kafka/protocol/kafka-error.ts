// Kafka's error codes, and the errors that a request may fail with.

/** The codes that something here depends on. */
export const CODE = {
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  REPLICA_NOT_AVAILABLE: 9,
  MESSAGE_TOO_LARGE: 10,
  NETWORK_EXCEPTION: 13,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  RECORD_LIST_TOO_LARGE: 18,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER_ID: 25,
  REBALANCE_IN_PROGRESS: 27,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_REPLICATION_FACTOR: 38,
  NOT_CONTROLLER: 41,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_PRODUCER_ID_MAPPING: 49,
  CONCURRENT_TRANSACTIONS: 51,
  TRANSACTION_COORDINATOR_FENCED: 52,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  KAFKA_STORAGE_ERROR: 56,
  UNKNOWN_PRODUCER_ID: 59,
  FENCED_LEADER_EPOCH: 74,
  UNKNOWN_LEADER_EPOCH: 75,
  OFFSET_NOT_AVAILABLE: 78,
  MEMBER_ID_REQUIRED: 79,
  PRODUCER_FENCED: 90,
} as const;

/** The broker answered, with an error code. */
export class KafkaError extends Error {
  readonly code: number;
  constructor(code: number, attempted: string, detail?: string) {
    super(`${attempted}: ${detail || nameOf(code)}`);
    this.name = "KafkaError";
    this.code = code;
  }
}

/** There was no answer, so it is not known whether the request took effect. */
export class NoAnswer extends Error {
  override readonly name: string = "NoAnswer";
}

/** The broker does not admit us, or we do not trust it. At a start that is final; later it may pass. */
export class NotAdmitted extends NoAnswer {
  override readonly name = "NotAdmitted";
}

/** The broker ended a connection without an answer, as it does if the client uses another protocol (TLS, SASL) than it expects. */
export class TurnedAway extends NoAnswer {
  override readonly name = "TurnedAway";
}

/** @throws {KafkaError} unless the code says success */
export function failOn(code: number, attempted: string, detail?: string): void {
  if (code !== CODE.NONE) throw new KafkaError(code, attempted, detail);
}

export function isCode(error: unknown, ...codes: readonly number[]): boolean {
  return error instanceof KafkaError && codes.includes(error.code);
}

const PASSING: ReadonlySet<number> = new Set([
  CODE.UNKNOWN_TOPIC_OR_PARTITION,
  CODE.LEADER_NOT_AVAILABLE,
  CODE.NOT_LEADER_OR_FOLLOWER,
  CODE.REQUEST_TIMED_OUT,
  CODE.REPLICA_NOT_AVAILABLE,
  CODE.NETWORK_EXCEPTION,
  CODE.COORDINATOR_LOAD_IN_PROGRESS,
  CODE.COORDINATOR_NOT_AVAILABLE,
  CODE.NOT_COORDINATOR,
  CODE.NOT_ENOUGH_REPLICAS,
  CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  CODE.NOT_CONTROLLER,
  CODE.CONCURRENT_TRANSACTIONS,
  CODE.KAFKA_STORAGE_ERROR,
  CODE.FENCED_LEADER_EPOCH,
  CODE.UNKNOWN_LEADER_EPOCH,
  CODE.OFFSET_NOT_AVAILABLE,
]);

/** Whether the same request may succeed in a moment: there was no answer, a leader moved, a broker starts. */
export function isPassing(error: unknown): boolean {
  return error instanceof NoAnswer || (error instanceof KafkaError && PASSING.has(error.code));
}

export function isPassingCode(code: number): boolean {
  return PASSING.has(code);
}

/** Whether the broker refuses a batch because of its size. */
export function isTooLargeCode(code: number): boolean {
  return code === CODE.MESSAGE_TOO_LARGE || code === CODE.RECORD_LIST_TOO_LARGE;
}

/** Whether the broker knows who we are and forbids it, until an operator allows it. */
export function isForbidden(error: unknown): error is KafkaError {
  return isCode(
    error,
    CODE.TOPIC_AUTHORIZATION_FAILED,
    CODE.GROUP_AUTHORIZATION_FAILED,
    CODE.CLUSTER_AUTHORIZATION_FAILED,
    CODE.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
  );
}

/** Kafka's names of the other codes that our requests may be answered with, for people. */
const OTHER_NAMES: Readonly<Record<number, string>> = {
  [-1]: "UNKNOWN_SERVER_ERROR",
  2: "CORRUPT_MESSAGE",
  8: "BROKER_NOT_AVAILABLE",
  17: "INVALID_TOPIC_EXCEPTION",
  21: "INVALID_REQUIRED_ACKS",
  23: "INCONSISTENT_GROUP_PROTOCOL",
  24: "INVALID_GROUP_ID",
  26: "INVALID_SESSION_TIMEOUT",
  32: "INVALID_TIMESTAMP",
  33: "UNSUPPORTED_SASL_MECHANISM",
  34: "ILLEGAL_SASL_STATE",
  35: "UNSUPPORTED_VERSION",
  37: "INVALID_PARTITIONS",
  39: "INVALID_REPLICA_ASSIGNMENT",
  40: "INVALID_CONFIG",
  42: "INVALID_REQUEST",
  43: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
  44: "POLICY_VIOLATION",
  46: "DUPLICATE_SEQUENCE_NUMBER",
  48: "INVALID_TXN_STATE",
  50: "INVALID_TRANSACTION_TIMEOUT",
  54: "SECURITY_DISABLED",
  55: "OPERATION_NOT_ATTEMPTED",
  58: "SASL_AUTHENTICATION_FAILED",
  76: "UNSUPPORTED_COMPRESSION_TYPE",
  81: "GROUP_MAX_SIZE_REACHED",
  82: "FENCED_INSTANCE_ID",
  87: "INVALID_RECORD",
  89: "THROTTLING_QUOTA_EXCEEDED",
};

export function nameOf(code: number): string {
  const ours = Object.entries(CODE).find(([, value]) => value === code);
  return ours?.[0] ?? OTHER_NAMES[code] ?? `Kafka error ${code}`;
}
