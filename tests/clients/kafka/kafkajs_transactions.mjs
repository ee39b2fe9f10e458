// kafkajs transactions against the broker at BOOTSTRAP; ends with 1 at the first thing that is wrong.
import assert from "node:assert/strict";
import kafkajs from "kafkajs";

const { Kafka, logLevel } = kafkajs;

const name = process.env.NAME ?? `it.js.${Date.now()}`;
const kafka = new Kafka({ clientId: "it", brokers: [process.env.BOOTSTRAP], logLevel: logLevel.NOTHING });
const shown = (what) => console.log(`ok: ${what}`);
const message = (value) => ({ value: String(value), partition: value % 2 });

const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic: name, numPartitions: 2 }] });
const made = () => kafka.producer({ transactionalId: name, idempotent: true, maxInFlightRequests: 1 });
const producer = made();
await producer.connect();
const send = async (values, end) => {
  const transaction = await producer.transaction();
  await transaction.send({ topic: name, messages: values.map(message) });
  await end(transaction);
};
await send([0, 1, 2], (transaction) => transaction.commit());
await send([3, 4], (transaction) => transaction.abort());
await send([5], async (transaction) => {
  await transaction.sendOffsets({
    consumerGroupId: name,
    topics: [{ topic: name, partitions: [{ partition: 0, offset: "2" }] }],
  });
  await transaction.commit();
});
await send([6], async (transaction) => {
  await transaction.sendOffsets({
    consumerGroupId: name,
    topics: [{ topic: name, partitions: [{ partition: 0, offset: "99" }] }],
  });
  await transaction.abort();
});
const [{ partitions }] = await admin.fetchOffsets({ groupId: name, topics: [name] });
assert.equal(partitions.find(({ partition }) => partition === 0).offset, "2");
shown("offsets count with their transaction");

const read = async (readUncommitted, wanted) => {
  const seen = [];
  const consumer = kafka.consumer({ groupId: `${name}.${readUncommitted}`, readUncommitted, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic: name, fromBeginning: true });
  await consumer.run({ eachMessage: async ({ message: { value } }) => void seen.push(Number(value)) });
  const end = Date.now() + 30_000;
  while (seen.length < wanted && Date.now() < end) await new Promise((wake) => setTimeout(wake, 50));
  // Whatever should not come has a moment to come.
  await new Promise((wake) => setTimeout(wake, 500));
  await consumer.disconnect();
  return seen.sort((a, b) => a - b);
};
assert.deepEqual(await read(false, 4), [0, 1, 2, 5]);
assert.deepEqual(await read(true, 7), [0, 1, 2, 3, 4, 5, 6]);
shown("a reader of committed records sees those alone");

const second = made();
await second.connect();
const fresh = await second.transaction();
await fresh.send({ topic: name, messages: [message(7)] });
await assert.rejects(send([8], (transaction) => transaction.commit()));
await fresh.commit();
assert.deepEqual(await read(false, 1), [7]);
shown("a second instance fences the first");

await second.disconnect();
await producer.disconnect();
await admin.deleteTopics({ topics: [name] });
await admin.disconnect();
process.exit(0);
