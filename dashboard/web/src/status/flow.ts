// Numbers of the status page, worked out of the server's answer. Pure, so that they can be tested.
import type { Status } from "../lib/types";

export const STAGES = ["shipper", "bus", "processor", "indexer", "dashboard"] as const;
export type StageName = (typeof STAGES)[number];
type Instance = Status["stages"][number];

/** What a stage is measured by: events where it handles events, else the next best thing it counts. */
const MAIN_COUNTERS = ["events", "records", "searches"];

export interface StageView {
  name: StageName;
  instances: Instance[];
  state: "ready" | "starting" | "stale" | "absent";
  problems: string[];
  /** A second, over all instances. */
  rate: number;
  unit: string;
  lag: number | null;
}

export function stageOf(status: Status, name: StageName): StageView {
  const instances = status.stages.filter((instance) => instance.stage === name);
  const unit = MAIN_COUNTERS.find((counter) => instances.some((instance) => counter in instance.rates)) ?? "events";
  const rate = instances.reduce((sum, instance) => sum + (instance.rates[unit] ?? 0), 0);
  let state: StageView["state"] = "ready";
  if (instances.length === 0) state = "absent";
  else if (instances.every((instance) => instance.stale)) state = "stale";
  else if (instances.some((instance) => !instance.ready && !instance.stale)) state = "starting";
  return { name, instances, state, problems: instances.flatMap((instance) => instance.problems), rate, unit, lag: ownLag(instances) ?? lagOf(status, name) };
}

/** What the stage itself says waits for it. It knows better than the bus, which hears of its progress only at commits. */
function ownLag(instances: Instance[]): number | null {
  const told = instances.flatMap((instance) => (!instance.stale && instance.gauges.lag_events !== undefined ? [instance.gauges.lag_events] : []));
  return told.length > 0 ? told.reduce((a, b) => a + b, 0) : null;
}

/** Events that wait for a stage on the bus: the lag of the groups that bear its name. */
export function lagOf(status: Status, name: string): number | null {
  let sum: number | null = null;
  for (const topic of status.topics)
    for (const partition of topic.partitions)
      for (const [group, lag] of Object.entries(partition.lag)) if (group.includes(name)) sum = (sum ?? 0) + lag;
  return sum;
}

export interface TopicView {
  name: string;
  partitions: number;
  held: number;
  end: number;
  groups: { group: string; lag: number }[];
}

export function topicsOf(status: Status): TopicView[] {
  return status.topics
    .map((topic) => {
      const groups = new Map<string, number>();
      for (const partition of topic.partitions) for (const [group, lag] of Object.entries(partition.lag)) groups.set(group, (groups.get(group) ?? 0) + lag);
      return {
        name: topic.name,
        partitions: topic.partitions.length,
        held: topic.partitions.reduce((sum, partition) => sum + partition.high - partition.low, 0),
        end: topic.partitions.reduce((sum, partition) => sum + partition.high, 0),
        groups: [...groups].map(([group, lag]) => ({ group, lag })).sort((a, b) => a.group.localeCompare(b.group)),
      };
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** The points of a sparkline, newest at the right edge, in a box of the given size. */
export function sparkline(values: readonly number[], slots: number, width: number, height: number): string {
  if (values.length < 2) return "";
  const top = Math.max(...values, 1e-9);
  const step = width / (slots - 1);
  return values
    .map((value, order) => `${Math.round((width - (values.length - 1 - order) * step) * 10) / 10},${Math.round((height - 1 - (value / top) * (height - 2)) * 10) / 10}`)
    .join(" ");
}
