// The geometry of the histogram, apart from drawing: one SVG path a level, stacked worst on top.
import { byLevel, LEVELS, type Level } from "../lib/levels";
import type { Histogram } from "../lib/types";

export interface Bar {
  t: number;
  x: number;
  width: number;
  total: number;
  by: Record<Level, number>;
}

export interface Plot {
  bars: Bar[];
  paths: { level: Level; d: string }[];
  top: number;
  totals: Record<Level, number>;
}

/** The stack from the bottom up: the many and harmless below, errors on top where the outline shows them. */
const STACK: readonly Level[] = ["none", "trace", "debug", "info", "warn", "error", "fatal"];
/** A level that occurs at all in a bar is seen, however small its share. */
const HEIGHT_MIN = 1.5;

export function plot(histogram: Histogram, range: { from: number; to: number }, hidden: ReadonlySet<Level>, width: number, height: number): Plot {
  const span = Math.max(1, range.to - range.from);
  const x = (t: number) => Math.min(Math.max(((t - range.from) / span) * width, 0), width);
  const totals = byLevel({});
  const bars = histogram.buckets.map((bucket): Bar => {
    const by = byLevel(bucket.by);
    let total = 0;
    for (const level of LEVELS) {
      totals[level] += by[level];
      if (!hidden.has(level)) total += by[level];
    }
    const left = x(bucket.t);
    return { t: bucket.t, x: left, width: Math.max(0, x(bucket.t + histogram.interval_ms) - left), total, by };
  });
  const top = niceTop(Math.max(1, ...bars.map((bar) => bar.total)));
  const paths = new Map<Level, string>();
  for (const bar of bars) {
    if (bar.total === 0) continue;
    const gap = bar.width > 4 ? 1 : 0;
    let y = height;
    for (const level of STACK) {
      const value = hidden.has(level) ? 0 : bar.by[level];
      if (value === 0) continue;
      const tall = Math.max(HEIGHT_MIN, (value / top) * height);
      y -= tall;
      const rect = `M${round(bar.x)} ${round(Math.max(0, y))}h${round(Math.max(0.5, bar.width - gap))}v${round(tall)}h-${round(Math.max(0.5, bar.width - gap))}z`;
      paths.set(level, (paths.get(level) ?? "") + rect);
    }
  }
  return { bars, paths: STACK.flatMap((level) => (paths.has(level) ? [{ level, d: paths.get(level) ?? "" }] : [])), top, totals };
}

const round = (value: number) => Math.round(value * 10) / 10;

/** The next of 1, 2, 2.5, 5 × 10ⁿ, so that the axis ends on a number people like. */
export function niceTop(value: number): number {
  const scale = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((candidate) => candidate * scale >= value) ?? 10;
  return Math.max(1, Math.ceil(step * scale));
}
