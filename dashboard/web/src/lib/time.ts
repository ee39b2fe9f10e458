// Times: date math as Elasticsearch writes it (now-15m, now/d), RFC 3339, and how they are shown in the chosen zone.

export interface Range {
  from: string;
  to: string;
}

export const QUICK: { label: string; range: Range }[] = [
  { label: "Last 5 minutes", range: { from: "now-5m", to: "now" } },
  { label: "Last 15 minutes", range: { from: "now-15m", to: "now" } },
  { label: "Last 30 minutes", range: { from: "now-30m", to: "now" } },
  { label: "Last 1 hour", range: { from: "now-1h", to: "now" } },
  { label: "Last 3 hours", range: { from: "now-3h", to: "now" } },
  { label: "Last 6 hours", range: { from: "now-6h", to: "now" } },
  { label: "Last 12 hours", range: { from: "now-12h", to: "now" } },
  { label: "Last 24 hours", range: { from: "now-24h", to: "now" } },
  { label: "Last 2 days", range: { from: "now-2d", to: "now" } },
  { label: "Last 7 days", range: { from: "now-7d", to: "now" } },
  { label: "Last 30 days", range: { from: "now-30d", to: "now" } },
  { label: "Today", range: { from: "now/d", to: "now" } },
];

export const UNITS = { s: "seconds", m: "minutes", h: "hours", d: "days", w: "weeks" } as const;
export type Unit = keyof typeof UNITS;
const UNIT_MS: Record<Unit, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

const MATH = /^now((?:[+-]\d+[smhdwMy])*)(?:\/([smhdwMy]))?$/;

/** True when the text is a time that the server understands. */
export function isTime(text: string): boolean {
  return MATH.test(text) || (/^\d{4}-\d\d-\d\d/.test(text) && Number.isFinite(Date.parse(text)));
}

/** The instant a time means, for drawing before the server has answered. Months and years are taken as 30 and 365 days. */
export function resolve(text: string, now = Date.now()): number | null {
  const math = MATH.exec(text);
  if (!math) {
    const parsed = Date.parse(text);
    return Number.isFinite(parsed) ? parsed : null;
  }
  let at = now;
  for (const [, sign, amount, unit] of (math[1] ?? "").matchAll(/([+-])(\d+)([smhdwMy])/g)) {
    at += (sign === "-" ? -1 : 1) * Number(amount) * unitMs(unit ?? "s");
  }
  const floor = math[2];
  if (!floor) return at;
  const date = new Date(at);
  if (floor === "d") return date.setHours(0, 0, 0, 0);
  const ms = unitMs(floor);
  return Math.floor(at / ms) * ms;
}

function unitMs(unit: string): number {
  if (unit === "M") return 30 * UNIT_MS.d;
  if (unit === "y") return 365 * UNIT_MS.d;
  return UNIT_MS[unit as Unit];
}

export const isRelative = (range: Range) => range.to.startsWith("now");

/** "Last 15 minutes", "from … to …": a range in words. */
export function describe(range: Range, utc: boolean): string {
  const quick = QUICK.find((known) => known.range.from === range.from && known.range.to === range.to);
  if (quick) return quick.label;
  const last = /^now-(\d+)([smhdw])$/.exec(range.from);
  if (last && range.to === "now") {
    const unit = UNITS[last[2] as Unit];
    return `Last ${last[1]} ${last[1] === "1" ? unit.slice(0, -1) : unit}`;
  }
  const side = (text: string) => (text.startsWith("now") ? text : stamp(Date.parse(text), utc));
  const [from, to] = [side(range.from), side(range.to)];
  // The same day is said once.
  return to.slice(0, 10) === from.slice(0, 10) && !range.to.startsWith("now") ? `${from} → ${to.slice(11)}` : `${from} → ${to}`;
}

const pad = (value: number, width = 2) => String(value).padStart(width, "0");

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
}

function parts(at: number, utc: boolean): Parts {
  const date = new Date(at);
  return utc
    ? {
        year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(), hour: date.getUTCHours(),
        minute: date.getUTCMinutes(), second: date.getUTCSeconds(), ms: date.getUTCMilliseconds(),
      }
    : {
        year: date.getFullYear(), month: date.getMonth() + 1, day: date.getDate(), hour: date.getHours(),
        minute: date.getMinutes(), second: date.getSeconds(), ms: date.getMilliseconds(),
      };
}

/** 2026-11-22 13:05:09, without what is zero at the end. */
export function stamp(at: number, utc: boolean): string {
  if (!Number.isFinite(at)) return "";
  const p = parts(at, utc);
  const clock = p.second === 0 && p.ms === 0 ? `${pad(p.hour)}:${pad(p.minute)}` : `${pad(p.hour)}:${pad(p.minute)}:${pad(p.second)}`;
  return `${p.year}-${pad(p.month)}-${pad(p.day)} ${clock}`;
}

/** The day and the clock of an event, apart: 2026-11-22 and 13:05:09.123. */
export function exact(at: number, utc: boolean): { day: string; clock: string } {
  if (!Number.isFinite(at)) return { day: "", clock: "" };
  const p = parts(at, utc);
  return {
    day: `${p.year}-${pad(p.month)}-${pad(p.day)}`,
    clock: `${pad(p.hour)}:${pad(p.minute)}:${pad(p.second)}.${pad(p.ms, 3)}`,
  };
}

/** What an axis says at a tick, given the step between ticks. */
export function tick(at: number, step: number, utc: boolean): string {
  const p = parts(at, utc);
  if (step >= UNIT_MS.d || (p.hour === 0 && p.minute === 0 && p.second === 0)) return `${pad(p.month)}-${pad(p.day)}`;
  return step >= UNIT_MS.m ? `${pad(p.hour)}:${pad(p.minute)}` : `${pad(p.hour)}:${pad(p.minute)}:${pad(p.second)}`;
}

const TICK_STEPS = [
  1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 2 * 864e5, 7 * 864e5, 14 * 864e5,
  30 * 864e5, 90 * 864e5, 365 * 864e5,
];

/** Round instants between two times, about `wanted` of them, aligned in the shown zone. */
export function ticks(from: number, to: number, wanted: number, utc: boolean): { at: number; label: string }[] {
  if (!(to > from) || wanted < 1) return [];
  const step = TICK_STEPS.find((candidate) => (to - from) / candidate <= wanted) ?? 365 * 864e5;
  const shift = utc ? 0 : new Date(from).getTimezoneOffset() * 6e4;
  const found = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) found.push({ at, label: tick(at, step, utc) });
  return found;
}

/** For <input type="datetime-local">, in the shown zone. */
export function toInput(at: number, utc: boolean): string {
  const p = parts(at, utc);
  return `${p.year}-${pad(p.month)}-${pad(p.day)}T${pad(p.hour)}:${pad(p.minute)}:${pad(p.second)}`;
}

export function fromInput(text: string, utc: boolean): number | null {
  const at = Date.parse(utc ? `${text}Z` : text);
  return text !== "" && Number.isFinite(at) ? at : null;
}

export const zoneName = (utc: boolean) => (utc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone);
