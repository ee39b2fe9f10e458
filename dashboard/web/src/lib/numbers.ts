// Numbers as people read them.

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value: number) => grouped.format(value);
export const short = (value: number) => (Math.abs(value) < 10_000 ? grouped.format(value) : compact.format(value));

/** A rate a second: one decimal while it is small. */
export function rate(value: number): string {
  if (value === 0) return "0";
  return value < 10 ? value.toFixed(1) : short(Math.round(value));
}

export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  let rest = value;
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return `${unit === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${units[unit]}`;
}

export function percent(part: number, whole: number): string {
  if (whole <= 0) return "0 %";
  const share = (100 * part) / whole;
  return share > 0 && share < 1 ? "<1 %" : `${share >= 99.5 && part < whole ? 99 : Math.round(share)} %`;
}

/** A span of time in the largest unit that keeps it readable: 850 ms, 12 s, 3 min, 2.5 h, 4 d. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${trim(s)} s`;
  if (s < 3600) return `${trim(s / 60)} min`;
  if (s < 86_400) return `${trim(s / 3600)} h`;
  return `${trim(s / 86_400)} d`;
}

const trim = (value: number) => (value < 10 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value)));

/** How long ago, as a phrase. */
export function ago(time: string | number | null, now = Date.now()): string {
  if (time === null) return "never";
  const ms = now - (typeof time === "number" ? time : Date.parse(time));
  if (!Number.isFinite(ms)) return "unknown";
  if (ms < 0) return `in ${duration(-ms)}`;
  return ms < 1500 ? "just now" : `${duration(ms)} ago`;
}
