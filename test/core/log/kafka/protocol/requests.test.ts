// Our codecs against recorded bytes: requests as kafkajs 2.2.4 encodes them, answers as a Kafka 4 broker gave them to it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  findCoordinator,
  metadata,
  saslAuthenticate,
  saslHandshake,
} from "../../../../../core/log/kafka/protocol/cluster-requests.ts";
import {
  heartbeat,
  heldIn,
  joinGroup,
  leaveGroup,
  shardsIn,
  syncGroup,
} from "../../../../../core/log/kafka/protocol/group-requests.ts";
import type { KafkaRequest } from "../../../../../core/log/kafka/protocol/request.ts";
import {
  createTopics,
  describeTopics,
  END,
  listOffsets,
} from "../../../../../core/log/kafka/protocol/topic-requests.ts";
import {
  addPartitionsToTransaction,
  endTransaction,
  initProducerId,
} from "../../../../../core/log/kafka/protocol/transaction-requests.ts";

const KAFKA_TOPIC = "capture.events";
const MEMBER = "capture-5f6baa09-86e9-4467-9321-a3a49cd3434d";
const UNKNOWN_PRODUCER = { transactionalId: "capture.shard-0", producerId: -1, producerEpoch: -1 };
const STABLE = { groupId: "capture.cores", generation: 1, memberId: MEMBER };
const SUBSCRIPTION = "000000000001000e636170747572652e6576656e7473000000055b302c315d";
const ASSIGNMENT = "000000000001000e636170747572652e6576656e747300000002000000000000000100000000";

interface Row {
  readonly title: string;
  readonly request: KafkaRequest<unknown>;
  /** Hexadecimal, as is `answer`. */
  readonly encoded: string;
  readonly answer: string;
  readonly decoded: unknown;
}

const ROWS: readonly Row[] = [
  {
    title: "CreateTopics 3",
    request: createTopics([
      {
        kafkaTopic: KAFKA_TOPIC,
        partitions: 2,
        replication: 1,
        settings: [{ name: "retention.ms", value: "86400000" }],
      },
    ], 10_000),
    encoded:
      "00000001000e636170747572652e6576656e74730000000200010000000000000001000c726574656e74696f6e2e6d73000838363430303030300000271000",
    answer: "0000000000000001000e636170747572652e6576656e74730000ffff",
    decoded: [{ kafkaTopic: KAFKA_TOPIC, errorCode: 0, errorMessage: "" }],
  },
  {
    title: "CreateTopics 3 of one that exists",
    request: createTopics([{ kafkaTopic: KAFKA_TOPIC, partitions: 2, replication: 1, settings: [] }], 10_000),
    encoded: "00000001000e636170747572652e6576656e747300000002000100000000000000000000271000",
    answer:
      "0000000000000001000e636170747572652e6576656e747300240026546f7069632027636170747572652e6576656e74732720616c7265616479206578697374732e",
    decoded: [{ kafkaTopic: KAFKA_TOPIC, errorCode: 36, errorMessage: "Topic 'capture.events' already exists." }],
  },
  {
    title: "Metadata 6",
    request: metadata([KAFKA_TOPIC, "capture.nothing"]),
    encoded: "00000002000e636170747572652e6576656e7473000f636170747572652e6e6f7468696e6700",
    answer:
      "00000000000000010000000100093132372e302e302e3100005eddffff0016726e563265474e314e6172467a4a42695f333673534100000001000000020000000e636170747572652e6576656e747300000000020000000000010000000100000001000000010000000100000001000000000000000000000000000100000001000000010000000100000001000000000003000f636170747572652e6e6f7468696e670000000000",
    decoded: {
      brokers: [{ nodeId: 1, host: "127.0.0.1", port: 24285 }],
      clusterId: "rnV2eGN1NarFzJBi_36sSA",
      controllerId: 1,
      kafkaTopics: [
        {
          kafkaTopic: KAFKA_TOPIC,
          errorCode: 0,
          partitions: [
            { errorCode: 0, partition: 1, leader: 1, replicas: [1] },
            { errorCode: 0, partition: 0, leader: 1, replicas: [1] },
          ],
        },
        { kafkaTopic: "capture.nothing", errorCode: 3, partitions: [] },
      ],
    },
  },
  {
    title: "ListOffsets 3",
    request: listOffsets([
      { kafkaTopic: KAFKA_TOPIC, partition: 0, time: END },
      { kafkaTopic: KAFKA_TOPIC, partition: 1, time: 1_700_000_000_000 },
    ]),
    encoded:
      "ffffffff0100000001000e636170747572652e6576656e74730000000200000000ffffffffffffffff000000010000018bcfe56800",
    answer:
      "0000000000000001000e636170747572652e6576656e747300000002000000000000ffffffffffffffff0000000000000000000000010000ffffffffffffffffffffffffffffffff",
    decoded: [
      { kafkaTopic: KAFKA_TOPIC, partition: 0, errorCode: 0, offset: 0 },
      { kafkaTopic: KAFKA_TOPIC, partition: 1, errorCode: 0, offset: -1 },
    ],
  },
  {
    title: "DescribeConfigs 2, the answer's first two settings",
    request: describeTopics([KAFKA_TOPIC]),
    encoded: "0000000102000e636170747572652e6576656e7473ffffffff00",
    answer:
      "00000000000000010000000002000e636170747572652e6576656e7473000000020010636f6d7072657373696f6e2e74797065000870726f647563657200050000000000001c72656d6f74652e6c6f672e64656c6574652e6f6e2e64697361626c65000566616c736500050000000000",
    decoded: [{
      kafkaTopic: KAFKA_TOPIC,
      errorCode: 0,
      errorMessage: "",
      settings: new Map([["compression.type", "producer"], ["remote.log.delete.on.disable", "false"]]),
    }],
  },
  {
    title: "FindCoordinator 2",
    request: findCoordinator("transaction", "capture2.shard-0"),
    encoded: "001063617074757265322e73686172642d3001",
    answer: "00000000000000044e4f4e450000000100093132372e302e302e3100005edd",
    decoded: { errorCode: 0, errorMessage: "NONE", coordinator: { nodeId: 1, host: "127.0.0.1", port: 24285 } },
  },
  {
    title: "FindCoordinator 2 of a group, from a broker that just started",
    request: findCoordinator("group", "capture.cores"),
    encoded: "000d636170747572652e636f72657300",
    answer: "00000000000f002154686520636f6f7264696e61746f72206973206e6f7420617661696c61626c652effffffff0000ffffffff",
    decoded: {
      errorCode: 15,
      errorMessage: "The coordinator is not available.",
      coordinator: { nodeId: -1, host: "", port: -1 },
    },
  },
  {
    title: "InitProducerId 1",
    request: initProducerId({ transactionalId: "capture2.shard-0", transactionTimeoutMs: 15_000 }),
    encoded: "001063617074757265322e73686172642d3000003a98",
    answer: "00000000000000000000000000000000",
    decoded: { errorCode: 0, producerId: 0, producerEpoch: 0 },
  },
  {
    title: "InitProducerId 1 without a transactional id",
    request: initProducerId({ transactionalId: null, transactionTimeoutMs: 60_000 }),
    encoded: "ffff0000ea60",
    answer: "00000000000000000000000000010000",
    decoded: { errorCode: 0, producerId: 1, producerEpoch: 0 },
  },
  {
    title: "AddPartitionsToTxn 1, refused",
    request: addPartitionsToTransaction(UNKNOWN_PRODUCER, [
      { kafkaTopic: KAFKA_TOPIC, partition: 0 },
      { kafkaTopic: KAFKA_TOPIC, partition: 1 },
    ]),
    encoded:
      "000f636170747572652e73686172642d30ffffffffffffffffffff00000001000e636170747572652e6576656e7473000000020000000000000001",
    answer: "0000000000000001000e636170747572652e6576656e747300000002000000000031000000010031",
    decoded: [
      { kafkaTopic: KAFKA_TOPIC, partition: 0, errorCode: 49 },
      { kafkaTopic: KAFKA_TOPIC, partition: 1, errorCode: 49 },
    ],
  },
  {
    title: "EndTxn 1, refused",
    request: endTransaction(UNKNOWN_PRODUCER, { commit: true }),
    encoded: "000f636170747572652e73686172642d30ffffffffffffffffffff01",
    answer: "000000000031",
    decoded: { errorCode: 49 },
  },
  {
    title: "JoinGroup 5 of a new member",
    request: joinGroup({ groupId: "capture.cores", memberId: "", kafkaTopic: KAFKA_TOPIC, held: [] }),
    encoded:
      "000d636170747572652e636f72657300002710000075300000ffff0008636f6e73756d657200000001000e746964696e67732d737469636b790000001c000000000001000e636170747572652e6576656e7473000000025b5d",
    answer:
      "00000000004fffffffff00000000002c636170747572652d35663662616130392d383665392d343436372d393332312d61336134396364333433346400000000",
    decoded: { errorCode: 79, generation: -1, leaderId: "", memberId: MEMBER, members: [] },
  },
  {
    title: "JoinGroup 5 of the leader",
    request: joinGroup({ groupId: "capture.cores", memberId: MEMBER, kafkaTopic: KAFKA_TOPIC, held: [0, 1] }),
    encoded:
      "000d636170747572652e636f7265730000271000007530002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464ffff0008636f6e73756d657200000001000e746964696e67732d737469636b790000001f000000000001000e636170747572652e6576656e7473000000055b302c315d",
    answer:
      "00000000000000000001000e746964696e67732d737469636b79002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464002c636170747572652d35663662616130392d383665392d343436372d393332312d61336134396364333433346400000001002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464ffff0000001f000000000001000e636170747572652e6576656e7473000000055b302c315d",
    decoded: {
      errorCode: 0,
      generation: 1,
      leaderId: MEMBER,
      memberId: MEMBER,
      members: [{ memberId: MEMBER, subscription: Buffer.from(SUBSCRIPTION, "hex") }],
    },
  },
  {
    title: "SyncGroup 3",
    request: syncGroup(STABLE, KAFKA_TOPIC, new Map([[MEMBER, [0, 1]]])),
    encoded:
      "000d636170747572652e636f72657300000001002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464ffff00000001002c636170747572652d35663662616130392d383665392d343436372d393332312d61336134396364333433346400000026000000000001000e636170747572652e6576656e747300000002000000000000000100000000",
    answer: "00000000000000000026000000000001000e636170747572652e6576656e747300000002000000000000000100000000",
    decoded: { errorCode: 0, assignment: Buffer.from(ASSIGNMENT, "hex") },
  },
  {
    title: "Heartbeat 3",
    request: heartbeat(STABLE),
    encoded:
      "000d636170747572652e636f72657300000001002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464ffff",
    answer: "000000000000",
    decoded: { errorCode: 0 },
  },
  {
    title: "LeaveGroup 3",
    request: leaveGroup("capture.cores", MEMBER),
    encoded:
      "000d636170747572652e636f72657300000001002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464ffff",
    answer:
      "00000000000000000001002c636170747572652d35663662616130392d383665392d343436372d393332312d613361343963643334333464ffff0000",
    decoded: { errorCode: 0 },
  },
  {
    title: "SaslHandshake 1, refused",
    request: saslHandshake("SCRAM-SHA-512"),
    encoded: "000d534352414d2d5348412d353132",
    answer: "002200000000",
    decoded: { errorCode: 34, enabledMechanisms: [] },
  },
  {
    title: "SaslAuthenticate 1",
    request: saslAuthenticate(Buffer.from("\0alice\0secret")),
    encoded: "0000000d00616c69636500736563726574",
    answer: "0000ffff000000076e3d652c723d780000000000000bb8",
    decoded: { errorCode: 0, errorMessage: "", authBytes: Buffer.from("n=e,r=x"), sessionLifetimeMs: 3_000 },
  },
];

describe("Kafka's requests", () => {
  for (const { title, request, encoded, answer, decoded } of ROWS) {
    it(`${title} is encoded as it should be, and its answer read`, () => {
      assert.equal(title.split(/[ ,]/, 2).join(" "), `${request.name} ${request.apiVersion}`);
      assert.equal(Buffer.concat(request.encode()).toString("hex"), encoded);
      assert.deepEqual(request.decode(Buffer.from(answer, "hex")), decoded);
    });

    it(`${title}: an answer that is cut short is an error, never a value`, () => {
      const whole = Buffer.from(answer, "hex");
      // LeaveGroup's answer goes on with members, which nothing here reads.
      const read = request.name === "LeaveGroup" ? 6 : whole.length;
      for (let length = 0; length < read; length++) {
        assert.throws(() => request.decode(whole.subarray(0, length)), RangeError, `${length} bytes`);
      }
    });
  }
});

describe("A3.3 what members tell each other", () => {
  it("A3.3 are shards in a form that Kafka's own tools read", () => {
    assert.deepEqual(heldIn(Buffer.from(SUBSCRIPTION, "hex")), [0, 1]);
    assert.deepEqual(shardsIn(Buffer.from(ASSIGNMENT, "hex"), KAFKA_TOPIC), [0, 1]);
    assert.deepEqual(shardsIn(Buffer.from(ASSIGNMENT, "hex"), "another"), []);
  });

  it("A3.3 may be nothing, or a stranger's: then it is no shard", () => {
    assert.deepEqual(shardsIn(Buffer.alloc(0), KAFKA_TOPIC), []);
    const stranger = (userData: string) =>
      Buffer.concat([
        Buffer.from("000000000000", "hex"),
        Buffer.from([0, 0, 0, userData.length]),
        Buffer.from(userData),
      ]);
    for (const userData of ["", "null", "{}", "not JSON", '["0", null, 1.5]']) {
      assert.deepEqual(heldIn(stranger(userData)), [], userData);
    }
    assert.deepEqual(heldIn(Buffer.alloc(0)), []);
    assert.deepEqual(heldIn(stranger('[3, "x"]')), [3]);
  });
});
