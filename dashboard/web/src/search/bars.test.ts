import { expect, it } from "vitest";
import type { Histogram } from "../lib/types";
import { niceTop, plot } from "./bars";

const histogram: Histogram = { interval_ms: 10, buckets: [{ t: 0, total: 3, by: { info: 2, ERROR: 1 } }, { t: 10, total: 0, by: {} }, { t: 20, total: 8, by: { warn: 8 } }] };

it("stacks levels in one path each", () => {
  const drawn = plot(histogram, { from: 0, to: 30 }, new Set(), 300, 80);
  expect(drawn.top).toBe(8);
  expect(drawn.paths.map((path) => path.level)).toEqual(["info", "warn", "error"]);
  expect(drawn.paths[0]?.d).toBe("M0 60h99v20h-99z");
  expect(drawn.paths[2]?.d).toBe("M0 50h99v10h-99z");
  expect(drawn.totals).toMatchObject({ info: 2, warn: 8, error: 1 });
});

it("leaves hidden levels out of the scale", () => {
  expect(plot(histogram, { from: 0, to: 30 }, new Set(["warn"]), 300, 80).top).toBe(3);
});

it("clips bars to the range", () => {
  const drawn = plot(histogram, { from: 5, to: 25 }, new Set(), 200, 80);
  expect(drawn.bars[0]).toMatchObject({ x: 0, width: 100 - 50 });
  expect(drawn.bars[2]).toMatchObject({ x: 150, width: 50 });
});

it("ends axes on round numbers", () => {
  expect([1, 7, 11, 96, 101, 2600].map(niceTop)).toEqual([1, 8, 15, 100, 150, 3000]);
});
