// What the browser and the dashboard server say to each other: shapes of every request and answer under /api.
// The server side is dashboard/src/http; a change here is a change there.

/** Every error answer: 4xx and 5xx. `span` marks the part of the query it is about, in UTF-16 units. */
export interface ApiError {
  error: { message: string; hint?: string; span?: [number, number] };
}

/** GET /api/session. Unsafe methods must send `csrf` back as the header `x-csrf-token`. */
export interface Session {
  user: { name: string; role: "administrator" | "editor" | "viewer" } | null;
  /** True until the first administrator exists. */
  setup_required: boolean;
  csrf: string;
  version: string;
  demo: boolean;
}
// POST /api/setup {token, name, password} → Session. POST /api/login {name, password} → Session. POST /api/logout → Session.
// GET /setup?token=… is the printed link: in demo it logs in and redirects to /, otherwise the page asks for name and password.

export type Language = "kql" | "lucene";

export interface Filter {
  field: string;
  op: "is" | "is_not" | "exists" | "not_exists";
  value?: string | number | boolean | null;
  disabled?: boolean;
}

/** What every question about events begins with. Times are RFC 3339 or date math: now, now-15m, now/d. */
export interface Scope {
  index?: string; // pattern, default logs-*
  query: string;
  language: Language;
  filters: Filter[];
  from: string;
  to: string;
}

/** POST /api/search */
export interface SearchRequest extends Scope {
  sort?: { field: string; dir: "asc" | "desc" }[]; // default @timestamp desc
  size?: number; // default 100, at most 1000
  search_after?: unknown[];
  /** Ask for the histogram too, in about this many buckets; 0 for none. */
  buckets?: number;
  time_zone?: string; // IANA name, for bucket edges
}
export interface Hit {
  id: string;
  index: string;
  sort: unknown[];
  source: Record<string, unknown>;
  /** field → fragments with <em>…</em> marks around matches; render as text, never as HTML. */
  highlight?: Record<string, string[]>;
}
export interface Histogram {
  interval_ms: number;
  buckets: { t: number; total: number; by: Record<string, number> }[]; // t: ms since 1970; by: lower-case level → count ("" = none)
}
/** Freshness: everything the bus held up to `indexed_up_to` (RFC 3339) is in these answers; `behind` events are not yet. */
export interface Freshness {
  indexed_up_to: string | null;
  behind: number | null;
}
export interface SearchResponse {
  total: number;
  took_ms: number;
  hits: Hit[];
  histogram?: Histogram;
  freshness: Freshness;
  from_ms: number; // the resolved range
  to_ms: number;
  request: unknown; // the Elasticsearch request, for "inspect"
}

// POST /api/query/check {query, language} → {ok: true} | ApiError (400)

/** GET /api/fields?index=… → FieldInfo[] */
export interface FieldInfo {
  name: string;
  type: "keyword" | "text" | "long" | "double" | "boolean" | "date" | "ip" | string;
  searchable: boolean;
  aggregatable: boolean;
}

/** POST /api/fields/values: Scope & {field, prefix?, size?} → top values within the scope */
export interface FieldValues {
  field: string;
  total: number; // events in scope
  with_field: number;
  distinct: number; // about
  values: { value: string | number | boolean; count: number }[];
}

// GET /api/tail?scope=<URI-encoded JSON Scope without times> : SSE.
//   event: hit   data: Hit (sort is absent)         event: skipped  data: {"count": n}  (more came than a screen can show)
//   event: error data: ApiError["error"]            a comment line every 15 s keeps it open
// GET /api/export?format=ndjson|csv&columns=a,b&scope=<URI-encoded JSON Scope> : a download, streamed, newest first.

/** GET /api/saved → SavedSearch[]; POST /api/saved → SavedSearch; DELETE /api/saved/{id} → 204 */
export interface SavedSearch {
  id?: number;
  name: string;
  scope: Scope;
  columns: string[];
}

/** GET/POST /api/alerts/rules, GET/PUT/DELETE /api/alerts/rules/{id}, POST /api/alerts/rules/{id}/test → Delivery */
export interface Rule {
  id?: number;
  name: string;
  enabled: boolean;
  /** match: fires on any matching event since the last look; threshold: count over the window compared with a value. */
  type: "match" | "threshold";
  scope: Omit<Scope, "from" | "to">;
  window_s: number;
  every_s: number;
  threshold?: { op: ">" | ">=" | "<" | "<="; value: number };
  webhook: { url: string; secret?: string /* write-only, whsec_…; made by the server when empty */; has_secret?: boolean };
}
/** What GET answers besides. */
export interface RuleView extends Rule {
  state: {
    status: "normal" | "firing" | "error" | "paused";
    since: string; // RFC 3339
    last_evaluated: string | null;
    last_value: number | null;
    error: string | null;
  };
}
/** POST /api/alerts/rules answers {rule: RuleView, secret: string} once; the secret is never shown again. */

/** GET /api/alerts/deliveries?rule=… → Delivery[] newest first; POST /api/alerts/deliveries/{id}/resend → Delivery */
export interface Delivery {
  id: string; // the webhook-id: msg_…
  rule_id: number;
  rule_name: string;
  event: "alert.firing" | "alert.resolved" | "alert.test";
  created_at: string;
  status: "pending" | "delivered" | "failed";
  next_attempt_at: string | null;
  attempts: { at: string; status: number | null; took_ms: number; error: string | null; response: string }[];
  body: unknown;
}

/** GET /api/status */
export interface Status {
  ready: boolean;
  problems: string[];
  stages: {
    stage: "shipper" | "bus" | "processor" | "indexer" | "dashboard";
    instance: string;
    host: string;
    version: string;
    pid: number;
    started_at: string;
    at: string;
    stale: boolean; // nothing heard for 10 s
    ready: boolean;
    problems: string[];
    addresses: Record<string, string>;
    counters: Record<string, number>;
    gauges: Record<string, number>;
    rates: Record<string, number>; // per second, of the counters, over the last seconds
    details?: unknown;
  }[];
  topics: {
    name: string;
    partitions: { partition: number; low: number; high: number; lag: Record<string /* group */, number> }[];
  }[];
  indices: { index: string; docs: number; bytes: number; oldest: string | null; newest: string | null }[];
}
