// How to open a log, as data, so that a child process can open the same log.
import { openKafkaLog } from "../../../core/log/kafka/kafka-log.ts";
import { openLibsqlLog } from "../../../core/log/libsql/libsql-log.ts";
import type { Log } from "../../../core/log/log.ts";

export interface LogLimits {
  readonly retentionMs: number;
  readonly maxMessageBytes: number;
}

export type LogRecipe =
  | LogLimits & { readonly kind: "libsql"; readonly directory: string }
  | LogLimits & {
    readonly kind: "kafka";
    readonly brokers: readonly string[];
    readonly prefix: string;
    readonly partitions: number;
    /** As short as possible, so that compaction is seen in a test. */
    readonly compactedSegmentMs: number;
  };

export async function openLog(recipe: LogRecipe): Promise<Log> {
  if (recipe.kind === "kafka") return await openKafkaLog({ ...recipe, clientId: "tidings-test", replication: 1 });
  return await openLibsqlLog({
    ...recipe,
    onFatal: (error) => {
      throw error;
    },
  });
}
