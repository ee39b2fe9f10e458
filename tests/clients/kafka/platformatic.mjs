// @platformatic/kafka, the newer client of node, against the broker at BOOTSTRAP; ends with 1 at the first thing that is
// wrong.
import assert from "node:assert/strict";
import {
  Admin,
  Consumer,
  MessagesStreamModes,
  Producer,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";

const name = process.env.NAME ?? `it.pf.${Date.now()}`;
const common = { clientId: "it", bootstrapBrokers: [process.env.BOOTSTRAP] };
const shown = (what) => console.log(`ok: ${what}`);

const admin = new Admin(common);
const [made] = await admin.createTopics({ topics: [name], partitions: 3, replicas: 1 });
assert.equal(made.name, name);
const metadata = await admin.metadata({ topics: [name] });
assert.equal(metadata.topics.get(name).partitionsCount, 3);
assert.ok((await admin.listTopics()).includes(name));
shown("topics are made, listed, described");

const producer = new Producer({ ...common, serializers: stringSerializers });
const send = async (each, from, count, options = {}) =>
  each.send({
    acks: -1,
    ...options,
    messages: Array.from({ length: count }, (_, index) => ({
      topic: name,
      key: String((from + index) % 16),
      value: String(from + index),
      headers: { source: "js" },
    })),
  });
await send(producer, 0, 500);
await send(producer, 500, 500, { compression: "gzip" });
await producer.close();
const careful = new Producer({ ...common, serializers: stringSerializers, idempotent: true });
await send(careful, 1000, 500);
await careful.close();
shown("plain, gzip and idempotent producers were acknowledged");

const read = async (count, mode) => {
  const consumer = new Consumer({ ...common, groupId: name, deserializers: stringDeserializers });
  const stream = await consumer.consume({
    autocommit: false,
    topics: [name],
    mode,
    fallbackMode: "earliest",
    sessionTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTime: 200,
  });
  const seen = [];
  for await (const message of stream) {
    assert.equal(message.headers.get("source"), "js");
    seen.push(Number(message.value));
    await message.commit();
    if (seen.length === count) break;
  }
  await consumer.close(true);
  return seen.sort((a, b) => a - b);
};
const numbers = (from, count) => Array.from({ length: count }, (_, index) => from + index);
assert.deepEqual(await read(1500, MessagesStreamModes.EARLIEST), numbers(0, 1500));
shown("a member of a group reads everything once and commits");
const again = new Producer({ ...common, serializers: stringSerializers });
await send(again, 1500, 300);
await again.close();
assert.deepEqual(await read(300, MessagesStreamModes.COMMITTED), numbers(1500, 300));
shown("the next one goes on at the committed offsets");

const groups = await admin.listGroups();
assert.ok([...groups.keys()].includes(name));
const described = await admin.describeGroups({ groups: [name] });
assert.equal(described.get(name).state, "EMPTY");
await admin.deleteGroups({ groups: [name] });
await admin.deleteTopics({ topics: [name] });
assert.ok(!(await admin.listTopics()).includes(name));
shown("groups are listed, described and removed; topics are removed");
await admin.close();
process.exit(0);
