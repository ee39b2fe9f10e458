// Reading an event: nested objects and dotted keys are the same field.

import type { Hit } from "./types";

type Source = Record<string, unknown>;

/** What tells a hit from all others: ids are unique within an index only. */
export const keyOf = (hit: Hit) => `${hit.index}/${hit.id}`;

/** The hits that are not known yet, each once. */
export function unknown(hits: readonly Hit[], known: readonly Hit[]): Hit[] {
  const seen = new Set(known.map(keyOf));
  return hits.filter((hit) => !seen.has(keyOf(hit)) && seen.add(keyOf(hit)));
}

const isObject = (value: unknown): value is Source => typeof value === "object" && value !== null && !Array.isArray(value);

/** The value of a dotted field, in whichever spelling the event has it. */
export function valueOf(source: Source, field: string): unknown {
  if (Object.hasOwn(source, field)) return source[field];
  for (let dot = field.indexOf("."); dot > 0; dot = field.indexOf(".", dot + 1)) {
    const inner = source[field.slice(0, dot)];
    if (isObject(inner)) {
      const found = valueOf(inner, field.slice(dot + 1));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** Every leaf of the event as [dotted name, value], by name. Lists are leaves. */
export function leaves(source: Source): [string, unknown][] {
  const found: [string, unknown][] = [];
  const walk = (value: Source, prefix: string) => {
    for (const [key, inner] of Object.entries(value)) {
      if (isObject(inner) && Object.keys(inner).length > 0) walk(inner, `${prefix}${key}.`);
      else found.push([prefix + key, inner]);
    }
  };
  walk(source, "");
  return found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** A value as one line of text. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value) && value.every((item) => typeof item !== "object" || item === null)) return value.map(textOf).join(", ");
  return JSON.stringify(value);
}

/** A row shows no more of a text than this: a 200 kB message must not be laid out to be cut off again. */
const SUMMARY_CHARS_MAX = 2_000;

/** What to show of an event in one line: the message, else the first line of the original, else all fields. */
export function summaryOf(source: Source): string {
  for (const field of ["message", "event.original"]) {
    const text = valueOf(source, field);
    if (typeof text === "string" && text.trim() !== "") return text.slice(0, SUMMARY_CHARS_MAX);
  }
  return leaves(source)
    .filter(([name]) => name !== "@timestamp")
    .slice(0, 40)
    .map(([name, value]) => `${name}=${textOf(value).slice(0, 200)}`)
    .join(" ")
    .slice(0, SUMMARY_CHARS_MAX);
}

/** Where the event comes from, short: service, else file name, else host. */
export function originOf(source: Source): string {
  const service = valueOf(source, "service.name");
  if (typeof service === "string" && service !== "") return service;
  const path = valueOf(source, "log.file.path");
  if (typeof path === "string" && path !== "") return path.slice(path.lastIndexOf("/") + 1);
  return textOf(valueOf(source, "host.name"));
}
