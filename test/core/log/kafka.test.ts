import { after } from "node:test";
import { logContract } from "../../contract/log.ts";
import { kafkaForTests } from "../../support/kafka/kafka.ts";

const kafka = await kafkaForTests();
after(() => kafka.close());

logContract("kafka", {
  skip: kafka.skip,
  skipSlow: !kafka.ours && "this broker looks for what is too old every few minutes only",
  fences: true,
  newPlace: (limits) =>
    Promise.resolve({
      recipe: {
        kind: "kafka",
        brokers: kafka.brokers,
        prefix: kafka.newPrefix(),
        partitions: 4,
        compactedSegmentMs: 1_000,
        ...limits,
      },
      remove: () => Promise.resolve(),
    }),
});
