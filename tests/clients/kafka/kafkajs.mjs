// kafkajs against the broker at BOOTSTRAP; says what it has shown, ends with 1 at the first thing that is wrong.
import assert from "node:assert/strict";
import kafkajs from "kafkajs";

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs;

const name = process.env.NAME ?? `it.js.${Date.now()}`;
const kafka = new Kafka({ clientId: "it", brokers: [process.env.BOOTSTRAP], logLevel: logLevel.ERROR });
const shown = (what) => console.log(`ok: ${what}`);
const until = async (what, condition, timeoutMs = 30_000) => {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `waited ${timeoutMs} ms for ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
};

const admin = kafka.admin();
await admin.connect();
assert.equal((await admin.describeCluster()).brokers.length, 1);
assert.equal(await admin.createTopics({ topics: [{ topic: name, numPartitions: 4 }] }), true);
assert.ok((await admin.listTopics()).includes(name));
const { resources } = await admin.describeConfigs({
  includeSynonyms: true,
  resources: [{ type: ConfigResourceTypes.TOPIC, name }],
});
assert.ok(resources[0].configEntries.some((entry) => entry.configName === "retention.ms"));
shown("topics are made, listed, described");

const values = (from, count) => Array.from({ length: count }, (_, index) => String(from + index));
const messages = (list) => list.map((value) => ({ key: String(Number(value) % 16), value, headers: { source: "js" } }));
const producer = kafka.producer();
await producer.connect();
await producer.send({ topic: name, acks: -1, messages: messages(values(0, 500)) });
await producer.send({ topic: name, acks: -1, compression: CompressionTypes.GZIP, messages: messages(values(500, 500)) });
await producer.disconnect();
const careful = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
await careful.connect();
await careful.send({ topic: name, messages: messages(values(1000, 500)) });
await careful.disconnect();
shown("plain, gzip and idempotent producers were acknowledged");

const member = async (seen, shares, key) => {
  const consumer = kafka.consumer({ groupId: name, sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 500 });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    shares[key] = Object.values(payload.memberAssignment).flat().length;
  });
  await consumer.connect();
  await consumer.subscribe({ topic: name, fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message }) => void seen.push(Number(message.value)) });
  return consumer;
};
const seen = [];
const shares = {};
const first = await member(seen, shares, "first");
await until("1500 records", () => seen.length >= 1500);
assert.deepEqual([...new Set(seen)].sort((a, b) => a - b), values(0, 1500).map(Number));
shown("a member of a group reads everything once");

await first.stop();
await first.disconnect();
const offsets = await admin.fetchOffsets({ groupId: name, topics: [name] });
assert.equal(offsets[0].partitions.reduce((sum, { offset }) => sum + Number(offset), 0), 1500);
const resumed = [];
const second = await member(resumed, shares, "second");
const third = await member(resumed, shares, "third");
await until("two shares of two", () => shares.second === 2 && shares.third === 2);
const again = kafka.producer();
await again.connect();
await again.send({ topic: name, messages: messages(values(1500, 300)) });
await until("300 records", () => resumed.length >= 300);
assert.deepEqual(resumed.sort((a, b) => a - b), values(1500, 300).map(Number));
shown("two members share the partitions and go on at the committed offsets");
await third.disconnect();
await until("one share of four", () => shares.second === 4);
shown("the one that stays takes over");

await second.disconnect();
await admin.setOffsets({ groupId: name, topic: name, partitions: [{ partition: 0, offset: "3" }] });
const partitionOf = (list, partition) => list.find((each) => each.partition === partition);
const [set] = await admin.fetchOffsets({ groupId: name, topics: [name] });
assert.equal(partitionOf(set.partitions, 0).offset, "3");
await admin.resetOffsets({ groupId: name, topic: name, earliest: true });
const [reset] = await admin.fetchOffsets({ groupId: name, topics: [name], resolveOffsets: true });
assert.ok(reset.partitions.every(({ offset }) => offset === "0"));
await admin.createPartitions({ topicPartitions: [{ topic: name, count: 6 }] });
const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
assert.equal(topics[0].partitions.length, 6);
await admin.alterConfigs({
  validateOnly: false,
  resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries: [{ name: "retention.ms", value: "3600000" }] }],
});
const altered = await admin.describeConfigs({
  resources: [{ type: ConfigResourceTypes.TOPIC, name, configNames: ["retention.ms"] }],
});
assert.deepEqual(altered.resources[0].configEntries.map(({ configName, configValue }) => [configName, configValue]), [
  ["retention.ms", "3600000"],
]);
await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: "2" }] });
assert.equal(partitionOf(await admin.fetchTopicOffsets(name), 0).low, "2");
await assert.rejects(admin.createTopics({ topics: [{ topic: "no/such/name" }] }));
shown("offsets are set and reset, partitions added, settings changed, records removed");

const fourth = await member([], shares, "fourth");
await until("one share of six", () => shares.fourth === 6);
const { groups } = await admin.listGroups();
assert.ok(groups.some(({ groupId }) => groupId === name));
const described = await admin.describeGroups([name]);
assert.equal(described.groups[0].state, "Stable");
await fourth.disconnect();
await again.disconnect();
const early = await admin.fetchTopicOffsetsByTimestamp(name, 1_000_000_000_000);
assert.equal(partitionOf(early, 1).offset, "0");
assert.equal(partitionOf(early, 0).offset, "2");
await admin.deleteGroups([name]);
await admin.deleteTopics({ topics: [name] });
await until("the topic to go", async () => !(await admin.listTopics()).includes(name));
shown("groups are listed, described and removed; offsets are found by time; topics are removed");
await admin.disconnect();
process.exit(0);
