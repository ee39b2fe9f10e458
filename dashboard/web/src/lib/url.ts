// The state of the search page as an address, so that a copied link shows the same thing.
import type { Filter, Language } from "./types";

export interface SearchState {
  query: string;
  language: Language;
  filters: Filter[];
  from: string;
  to: string;
  columns: string[];
  sort: "asc" | "desc";
  index: string;
  live: boolean;
}

export const DEFAULTS: SearchState = {
  query: "",
  language: "kql",
  filters: [],
  from: "now-15m",
  to: "now",
  columns: [],
  sort: "desc",
  index: "logs-*",
  live: false,
};

/** Only what differs from the defaults is written. */
export function toSearch(state: SearchState): string {
  const params = new URLSearchParams();
  if (state.query !== "") params.set("q", state.query);
  if (state.language !== DEFAULTS.language) params.set("lang", state.language);
  if (state.from !== DEFAULTS.from) params.set("from", state.from);
  if (state.to !== DEFAULTS.to) params.set("to", state.to);
  for (const filter of state.filters) params.append("f", JSON.stringify(filter));
  if (state.columns.length > 0) params.set("cols", state.columns.join(","));
  if (state.sort !== DEFAULTS.sort) params.set("sort", state.sort);
  if (state.index !== DEFAULTS.index) params.set("index", state.index);
  if (state.live) params.set("live", "1");
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

/** Reads an address back; whatever makes no sense is left at its default. */
export function fromSearch(search: string): SearchState {
  const params = new URLSearchParams(search);
  return {
    query: params.get("q") ?? DEFAULTS.query,
    language: params.get("lang") === "lucene" ? "lucene" : "kql",
    filters: params.getAll("f").flatMap(readFilter),
    from: params.get("from") || DEFAULTS.from,
    to: params.get("to") || DEFAULTS.to,
    columns: (params.get("cols") ?? "").split(",").filter((name) => name !== ""),
    sort: params.get("sort") === "asc" ? "asc" : "desc",
    index: params.get("index") || DEFAULTS.index,
    live: params.get("live") === "1",
  };
}

const OPS = new Set(["is", "is_not", "exists", "not_exists"]);

function readFilter(text: string): Filter[] {
  try {
    const { field, op, value, disabled } = JSON.parse(text) as Filter;
    if (typeof field !== "string" || !OPS.has(op) || (typeof value === "object" && value !== null)) return [];
    return [{ field, op, ...(value === undefined ? {} : { value }), ...(disabled ? { disabled: true } : {}) }];
  } catch {
    return [];
  }
}
