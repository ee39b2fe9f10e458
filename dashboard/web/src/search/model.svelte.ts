// The state of the search page: what is asked (mirrored in the address), what came back, and the live tail.
// Rows and histogram are asked apart, so a histogram that fails never takes the rows with it.
import { asFailure, get, isAbort, post, type Failure } from "../lib/api";
import { leaves, unknown } from "../lib/event";
import { LEVELS, type Level } from "../lib/levels";
import { router } from "../lib/router.svelte";
import { prefs } from "../lib/prefs.svelte";
import { isRelative, zoneName } from "../lib/time";
import type { FieldInfo, Filter, Freshness, Histogram, Hit, Language, Scope, SearchRequest, SearchResponse } from "../lib/types";
import { fromSearch, toSearch, type SearchState } from "../lib/url";
import { Tail } from "./tail.svelte";

/** Enough rows to fill a tall screen three times; more come while scrolling. */
const PAGE_ROWS = 200;
/** A bar every 12 to 18 pixels of a wide screen. */
const BUCKETS = 90;
/** While the tail runs, counts are fetched anew this often. */
const LIVE_COUNT_MS = 3000;

export class SearchModel {
  // What is asked.
  query = $state("");
  language = $state<Language>("kql");
  filters = $state.raw<Filter[]>([]);
  from = $state("now-15m");
  to = $state("now");
  columns = $state.raw<string[]>([]);
  sort = $state<"asc" | "desc">("desc");
  index = $state("logs-*");
  /** What stands in the query bar, run or not. */
  draft = $state("");
  refreshMs = $state(0);

  // What came back.
  rows = $state.raw<Hit[]>([]);
  total = $state<number | null>(null);
  tookMs = $state(0);
  loading = $state(false);
  loadingMore = $state(false);
  exhausted = $state(false);
  failure = $state.raw<Failure | null>(null);
  /** Why the end of the list could not be extended. */
  moreFailure = $state.raw<Failure | null>(null);
  histogram = $state.raw<Histogram | null>(null);
  histogramFailure = $state.raw<Failure | null>(null);
  range = $state.raw<{ from: number; to: number } | null>(null);
  freshness = $state.raw<Freshness | null>(null);
  inspected = $state.raw<{ rows?: unknown; histogram?: unknown }>({});
  fields = $state.raw<FieldInfo[]>([]);
  fieldsFailure = $state.raw<Failure | null>(null);
  hiddenLevels = $state.raw<ReadonlySet<Level>>(new Set());
  /** Grows with every new answer, for those who must start again (scroll position, top values). */
  generation = $state(0);

  readonly tail = new Tail(
    () => this.rows,
    (rows) => (this.rows = rows),
  );

  #aborts: AbortController | null = null;
  #refreshTimer: ReturnType<typeof setInterval> | undefined;
  #countTimer: ReturnType<typeof setInterval> | undefined;

  /** How often each field occurs in a sample of the rows at hand; says which fields are worth showing. */
  readonly present = $derived.by(() => {
    const counts = new Map<string, number>();
    for (const hit of this.rows.slice(0, PAGE_ROWS)) for (const [name] of leaves(hit.source)) counts.set(name, (counts.get(name) ?? 0) + 1);
    return counts;
  });

  get scope(): Scope {
    return { index: this.index, query: this.query, language: this.language, filters: this.filters, from: this.from, to: this.to };
  }

  get address(): string {
    const state: SearchState = { ...this.scope, index: this.index, columns: this.columns, sort: this.sort, live: this.tail.on };
    return `/${toSearch(state)}`;
  }

  /** Takes over what the address says and searches. */
  open(search: string): void {
    const state = fromSearch(search);
    this.query = this.draft = state.query;
    this.language = state.language;
    this.filters = state.filters;
    this.from = state.from;
    this.to = state.to;
    this.columns = state.columns;
    this.sort = state.sort;
    this.index = state.index;
    void this.loadFields();
    if (state.live) this.setLive(true);
    else {
      this.tail.stop();
      void this.run();
    }
  }

  close(): void {
    this.#aborts?.abort();
    this.tail.stop();
    clearInterval(this.#refreshTimer);
    clearInterval(this.#countTimer);
  }

  /** Runs what is asked now, and writes it into the address. */
  async submit(): Promise<void> {
    this.query = this.draft;
    this.remember();
    if (this.tail.on) this.setLive(true);
    else await this.run();
  }

  remember(how: "push" | "replace" = "push"): void {
    router.go(this.address, how);
  }

  async run(quiet = false): Promise<void> {
    this.#aborts?.abort();
    const aborts = (this.#aborts = new AbortController());
    this.loading = true;
    if (!quiet) this.moreFailure = null;
    const rows = this.#runRows(aborts.signal);
    const histogram = this.#runHistogram(aborts.signal);
    await rows;
    if (!aborts.signal.aborted) {
      this.loading = false;
      this.tail.join();
    }
    await histogram;
  }

  async #runRows(signal: AbortSignal): Promise<void> {
    try {
      const answer = await post<SearchResponse>("/api/search", this.#request({ size: PAGE_ROWS, buckets: 0 }), signal);
      this.failure = null;
      this.rows = unknown(answer.hits, []);
      this.total = answer.total;
      this.tookMs = answer.took_ms;
      this.freshness = answer.freshness;
      this.range = { from: answer.from_ms, to: answer.to_ms };
      this.exhausted = answer.hits.length < PAGE_ROWS;
      this.inspected = { ...this.inspected, rows: answer.request };
      this.generation += 1;
    } catch (caught) {
      if (isAbort(caught)) return;
      this.failure = asFailure(caught);
      this.rows = [];
      this.total = null;
      this.exhausted = true;
    }
  }

  async #runHistogram(signal: AbortSignal): Promise<void> {
    try {
      const answer = await post<SearchResponse>("/api/search", this.#request({ size: 0, buckets: BUCKETS }), signal);
      this.histogramFailure = null;
      this.histogram = answer.histogram ?? null;
      this.freshness = answer.freshness;
      this.range = { from: answer.from_ms, to: answer.to_ms };
      if (this.tail.on) this.total = answer.total;
      this.inspected = { ...this.inspected, histogram: answer.request };
    } catch (caught) {
      if (!isAbort(caught)) this.histogramFailure = asFailure(caught);
    }
  }

  #request(more: Pick<SearchRequest, "size" | "buckets" | "search_after">): SearchRequest {
    return { ...this.scope, sort: [{ field: "@timestamp", dir: this.sort }], time_zone: zoneName(prefs.utc), ...more };
  }

  /** The next page, after the last row. The range stays as it was resolved first, or rows would slide out of it. */
  async more(): Promise<void> {
    const last = this.rows.at(-1);
    if (this.loading || this.loadingMore || this.exhausted || !last?.sort || last.sort.length === 0) return;
    this.loadingMore = true;
    const generation = this.generation;
    const fixed = this.range ? { from: new Date(this.range.from).toISOString(), to: new Date(this.range.to).toISOString() } : {};
    try {
      const answer = await post<SearchResponse>("/api/search", { ...this.#request({ size: PAGE_ROWS * 2, buckets: 0, search_after: last.sort }), ...fixed });
      if (generation !== this.generation) return;
      this.moreFailure = null;
      // Merges in the store may move an event over the edge of a page.
      this.rows = [...this.rows, ...unknown(answer.hits, this.rows)];
      this.exhausted = answer.hits.length < PAGE_ROWS * 2;
    } catch (caught) {
      if (generation === this.generation) this.moreFailure = asFailure(caught);
    } finally {
      this.loadingMore = false;
    }
  }

  async loadFields(): Promise<void> {
    try {
      this.fields = await get<FieldInfo[]>(`/api/fields?index=${encodeURIComponent(this.index)}`);
      this.fieldsFailure = null;
    } catch (caught) {
      this.fieldsFailure = asFailure(caught);
    }
  }

  // What the user does.

  setRange(from: string, to: string): void {
    this.from = from;
    this.to = to;
    if (!isRelative({ from, to })) {
      this.tail.stop();
      this.setRefresh(0);
    }
    void this.submit();
  }

  setRefresh(ms: number): void {
    this.refreshMs = ms;
    clearInterval(this.#refreshTimer);
    if (ms > 0) this.#refreshTimer = setInterval(() => document.hidden || this.tail.on || void this.run(true), ms);
  }

  setFilters(filters: Filter[]): void {
    this.filters = filters;
    void this.submit();
  }

  /** Adds a filter, or turns the same one around or on again. */
  filter(field: string, op: Filter["op"], value?: Filter["value"]): void {
    const same = (known: Filter) => known.field === field && known.value === value && known.op.includes("exists") === op.includes("exists");
    const filter: Filter = value === undefined ? { field, op } : { field, op, value };
    this.setFilters(this.filters.some(same) ? this.filters.map((known) => (same(known) ? filter : known)) : [...this.filters, filter]);
  }

  setSort(sort: "asc" | "desc"): void {
    this.sort = sort;
    this.tail.stop();
    void this.submit();
  }

  toggleColumn(name: string): void {
    this.columns = this.columns.includes(name) ? this.columns.filter((known) => known !== name) : [...this.columns, name];
    this.remember("replace");
  }

  setLanguage(language: Language): void {
    this.language = language;
    this.remember("replace");
  }

  toggleLevel(level: Level): void {
    const next = new Set(this.hiddenLevels);
    if (!next.delete(level)) next.add(level);
    // All hidden is nothing to look at.
    this.hiddenLevels = next.size === LEVELS.length ? new Set() : next;
  }

  setLive(on: boolean): void {
    clearInterval(this.#countTimer);
    if (!on) {
      this.tail.stop();
      this.remember("replace");
      return;
    }
    this.sort = "desc";
    if (!isRelative(this)) {
      this.from = "now-15m";
      this.to = "now";
    }
    // Listening begins before the history is asked, so that nothing falls between; doubles are dropped by id.
    this.tail.start(this.scope);
    this.remember("replace");
    void this.run();
    this.#countTimer = setInterval(() => {
      if (!this.tail.on) clearInterval(this.#countTimer);
      else if (!document.hidden) void this.#runHistogram(new AbortController().signal);
    }, LIVE_COUNT_MS);
  }
}
