// The levels of a log line: many spellings, seven names. Order is severity, worst first; colours are in app.css.

export const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "none"] as const;
export type Level = (typeof LEVELS)[number];

const SPELLINGS: Record<string, Level> = {
  fatal: "fatal", critical: "fatal", crit: "fatal", emerg: "fatal", emergency: "fatal", panic: "fatal", alert: "fatal",
  error: "error", err: "error", severe: "error", e: "error", fail: "error",
  warn: "warn", warning: "warn", w: "warn",
  info: "info", information: "info", informational: "info", notice: "info", i: "info",
  debug: "debug", fine: "debug", d: "debug", verbose: "debug", config: "debug",
  trace: "trace", finer: "trace", finest: "trace", t: "trace",
};

/** The level that a value of `log.level` means; "none" for what is no level at all. */
export function levelOf(value: unknown): Level {
  return typeof value === "string" ? (SPELLINGS[value.trim().toLowerCase()] ?? "none") : "none";
}

/** Counts by any spelling, as counts by level. */
export function byLevel(counts: Record<string, number>): Record<Level, number> {
  const sums: Record<Level, number> = { fatal: 0, error: 0, warn: 0, info: 0, debug: 0, trace: 0, none: 0 };
  for (const [spelling, count] of Object.entries(counts)) sums[levelOf(spelling)] += count;
  return sums;
}
