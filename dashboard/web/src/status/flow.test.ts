import { expect, it } from "vitest";
import type { Status } from "../lib/types";
import { lagOf, sparkline, stageOf, topicsOf } from "./flow";

const instance = { instance: "a", host: "h", version: "1", pid: 1, started_at: "", at: "", addresses: {}, counters: {}, gauges: {} };
const status: Status = {
  ready: true,
  problems: [],
  stages: [
    { ...instance, stage: "shipper", ready: true, stale: false, problems: [], rates: { bytes: 9, events: 5 } },
    { ...instance, stage: "shipper", ready: false, stale: true, problems: ["no bus"], rates: { events: 2 } },
    { ...instance, stage: "bus", ready: false, stale: false, problems: [], rates: { records: 7 } },
  ],
  topics: [
    { name: "b", partitions: [{ partition: 0, low: 5, high: 9, lag: { "logmill-indexer": 2 } }, { partition: 1, low: 0, high: 1, lag: { "logmill-indexer": 1, other: 4 } }] },
    { name: "a", partitions: [] },
  ],
  indices: [],
};

it("sums a stage over its instances", () => {
  expect(stageOf(status, "shipper")).toMatchObject({ state: "ready", rate: 7, unit: "events", problems: ["no bus"], lag: null });
  expect(stageOf(status, "bus")).toMatchObject({ state: "starting", rate: 7, unit: "records" });
  expect(stageOf(status, "processor")).toMatchObject({ state: "absent", rate: 0 });
  expect(lagOf(status, "indexer")).toBe(3);
  const indexer = { ...instance, stage: "indexer" as const, ready: true, stale: false, problems: [], rates: {}, gauges: { lag_events: 0 } };
  expect(stageOf({ ...status, stages: [indexer] }, "indexer").lag).toBe(0);
});

it("sums topics over partitions", () => {
  expect(topicsOf(status)).toEqual([
    { name: "a", partitions: 0, held: 0, end: 0, groups: [] },
    { name: "b", partitions: 2, held: 5, end: 10, groups: [{ group: "logmill-indexer", lag: 3 }, { group: "other", lag: 4 }] },
  ]);
});

it("draws sparklines from the right", () => {
  expect(sparkline([1], 3, 20, 10)).toBe("");
  expect(sparkline([0, 4], 3, 20, 10)).toBe("10,9 20,1");
});
