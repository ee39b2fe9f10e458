// A stand-in for the dashboard's API, over events in memory. It understands just enough of the query language to be clicked through.
import type { IncomingMessage, ServerResponse } from "node:http";
import { leaves, textOf, valueOf } from "../src/lib/event.ts";
import { resolve } from "../src/lib/time.ts";
import type { Delivery, FieldInfo, Filter, Hit, Rule, RuleView, SavedSearch, Scope, Session, Status } from "../src/lib/types.ts";
import { event, random } from "./events.ts";

const PER_SECOND = 12;
const events: Hit[] = [];
{
  const now = Date.now();
  // Dense for the last half hour, sparse before.
  for (let at = now - 24 * 36e5; at < now - 18e5; at += 2500 + random() * 4000) events.push(event(Math.floor(at)));
  for (let at = now - 18e5; at < now; at += (2000 * random()) / PER_SECOND) events.push(event(Math.floor(at)));
}
const tails = new Set<(hit: Hit) => void>();
setInterval(() => {
  for (let left = Math.floor(random() * 5); left > 0; left--) {
    const hit = event(Date.now() - Math.floor(random() * 150));
    events.push(hit);
    for (const tail of tails) tail(hit);
  }
}, 150).unref();

class Refused extends Error {
  constructor(readonly status: number, message: string, readonly hint?: string, readonly span?: [number, number]) {
    super(message);
  }
}

type Test = (hit: Hit) => string[] | null;

/** `a: b and not "c d"`: the words that matched, or null. */
function compile(query: string): Test {
  const open = query.indexOf("(");
  if (open >= 0 && !query.includes(")", open)) throw new Refused(400, "this ( is never closed", "add a ) at the end", [open, open + 1]);
  const trailing = /:\s*$/.exec(query);
  if (trailing) throw new Refused(400, "a value is missing after :", "write field: value, or field: * for any value", [trailing.index, query.length]);
  const clauses = query.replace(/[()]/g, " ").split(/\s+and\s+/i).filter((part) => part.trim() !== "");
  const tests = clauses.map((clause): Test => {
    const not = /^\s*not\s+/i.exec(clause);
    const body = clause.slice(not?.[0].length ?? 0).trim();
    const parts = /^([\w@.]+)\s*(:|>=|<=|>|<)\s*(.+)$/s.exec(body);
    const alternatives = (parts?.[3] ?? body).split(/\s+or\s+/i).map((word) => word.trim().replace(/^"|"$/g, ""));
    const test: Test = (hit) => {
      const text = parts ? textOf(valueOf(hit.source, parts[1] ?? "")) : leaves(hit.source).map(([, value]) => textOf(value)).join("\n");
      if (parts && parts[2] !== ":") {
        const [left, right] = [Number(text), Number(alternatives[0])];
        const holds = text !== "" && { ">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right }[parts[2] ?? ""];
        return holds ? [] : null;
      }
      const found = alternatives.filter((word) =>
        word === "*" ? text !== "" : word.endsWith("*") ? text.startsWith(word.slice(0, -1)) : parts && parts[1] !== "message" ? text === word : text.toLowerCase().includes(word.toLowerCase()),
      );
      return found.length > 0 ? found : null;
    };
    return not ? (hit) => (test(hit) ? null : []) : test;
  });
  return (hit) => {
    const words: string[] = [];
    for (const test of tests) {
      const found = test(hit);
      if (!found) return null;
      words.push(...found);
    }
    return words;
  };
}

function passes(filter: Filter, hit: Hit): boolean {
  const value = valueOf(hit.source, filter.field);
  if (filter.op === "exists") return value !== undefined;
  if (filter.op === "not_exists") return value === undefined;
  return (textOf(value) === textOf(filter.value)) === (filter.op === "is");
}

function within(scope: Pick<Scope, "query" | "filters"> & Partial<Scope>): { hits: { hit: Hit; words: string[] }[]; from: number; to: number } {
  const test = compile(scope.query);
  const [from, to] = [resolve(scope.from ?? "now-24h") ?? 0, resolve(scope.to ?? "now") ?? Date.now()];
  const filters = scope.filters.filter((filter) => !filter.disabled);
  const hits = [];
  for (const hit of events) {
    const at = hit.sort[0] as number;
    if (at < from || at > to || !filters.every((filter) => passes(filter, hit))) continue;
    const words = test(hit);
    if (words) hits.push({ hit, words });
  }
  return { hits, from, to };
}

const STEPS = [1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5];

function search(body: Scope & { size?: number; search_after?: unknown[]; buckets?: number; sort?: { dir: string }[] }) {
  const began = performance.now();
  const { hits, from, to } = within(body);
  const up = body.sort?.[0]?.dir === "asc";
  const ordered = [...hits].sort((a, b) => ((a.hit.sort[0] as number) - (b.hit.sort[0] as number)) * (up ? 1 : -1));
  const after = body.search_after ? ordered.findIndex(({ hit }) => hit.id === body.search_after?.[1]) + 1 : 0;
  const interval = STEPS.find((step) => (to - from) / step <= (body.buckets || 1)) ?? 864e5;
  const buckets = new Map<number, Record<string, number>>();
  if (body.buckets) {
    for (let t = Math.floor(from / interval) * interval; t <= to; t += interval) buckets.set(t, {});
    for (const { hit } of hits) {
      const by = buckets.get(Math.floor((hit.sort[0] as number) / interval) * interval);
      const level = textOf(valueOf(hit.source, "log.level"));
      if (by) by[level] = (by[level] ?? 0) + 1;
    }
  }
  return {
    total: hits.length,
    took_ms: Math.ceil(performance.now() - began),
    hits: ordered.slice(after, after + (body.size ?? 100)).map(({ hit, words }) => (words.length === 0 ? hit : { ...hit, highlight: highlight(hit, words) })),
    ...(body.buckets ? { histogram: { interval_ms: interval, buckets: [...buckets].map(([t, by]) => ({ t, by, total: Object.values(by).reduce((a, b) => a + b, 0) })) } } : {}),
    freshness: { indexed_up_to: new Date(Date.now() - 400).toISOString(), behind: 9 },
    from_ms: from,
    to_ms: to,
    request: { index: "logs-*", body: { query: { bool: { filter: [{ range: { "@timestamp": { gte: body.from, lte: body.to } } }] } }, size: body.size ?? 100 } },
  };
}

function highlight(hit: Hit, words: string[]): Record<string, string[]> {
  const message = textOf(hit.source.message);
  const marked = words.reduce((text, word) => (word.length < 2 ? text : text.replaceAll(word, (found) => `<em>${found}</em>`)), message);
  return marked === message ? {} : { message: [marked] };
}

function fields(): FieldInfo[] {
  const seen = new Map<string, unknown>();
  for (const hit of events.slice(-2000)) for (const [name, value] of leaves(hit.source)) if (!seen.has(name)) seen.set(name, value);
  const typeOf = (name: string, value: unknown) =>
    name === "@timestamp" ? "date" : name === "message" ? "text" : name.endsWith(".ip") ? "ip" : typeof value === "number" ? "long" : typeof value === "boolean" ? "boolean" : "keyword";
  return [...seen].map(([name, value]) => ({ name, type: typeOf(name, value), searchable: true, aggregatable: name !== "message" }));
}

function values(body: Scope & { field: string; prefix?: string; size?: number }) {
  const { hits } = within(body);
  const counts = new Map<string | number, number>();
  let present = 0;
  for (const { hit } of hits) {
    const value = valueOf(hit.source, body.field);
    if (value === undefined) continue;
    present += 1;
    if (!textOf(value).startsWith(body.prefix ?? "")) continue;
    const key = typeof value === "number" ? value : textOf(value);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const top = [...counts].sort((a, b) => b[1] - a[1]).slice(0, body.size ?? 10).map(([value, count]) => ({ value, count }));
  return { field: body.field, total: hits.length, with_field: present, distinct: counts.size, values: top };
}

const session: Session = { user: { name: "admin", role: "administrator" }, setup_required: false, csrf: "x", version: "0.1.0", demo: true };
const saved: SavedSearch[] = [
  { id: 1, name: "Failed payments", scope: { query: 'service.name: checkout and "Payment for order"', language: "kql", filters: [], from: "now-1h", to: "now" }, columns: ["host.name"] },
];
let nextId = 10;
const rule = (id: number, name: string, status: RuleView["state"]["status"], query: string, more: Partial<Rule> = {}): RuleView => ({
  id, name, enabled: status !== "paused", type: "threshold", window_s: 300, every_s: 30, threshold: { op: ">=", value: 20 }, ...more,
  scope: { query, language: "kql", filters: [] },
  webhook: { url: "https://hooks.example.com/logmill", has_secret: true },
  state: { status, since: new Date(Date.now() - 7e5 * id).toISOString(), last_evaluated: new Date(Date.now() - 12e3).toISOString(), last_value: id * 9, error: status === "error" ? "the index did not answer within 10 s" : null },
});
const rules = [
  rule(1, "Checkout errors", "normal", "log.level: error and service.name: checkout"),
  rule(2, "Gateway returns 5xx", "firing", "http.response.status_code >= 500"),
  rule(3, "Anything fatal", "normal", "log.level: fatal", { type: "match" }),
  rule(4, "Nightly import is late", "paused", "service.name: importer"),
];
const delivery = (id: string, of: RuleView, kind: Delivery["event"], status: Delivery["status"], ago: number): Delivery => ({
  id: `msg_${id}`, rule_id: of.id ?? 0, rule_name: of.name, event: kind, status,
  created_at: new Date(Date.now() - ago).toISOString(),
  next_attempt_at: status === "pending" ? new Date(Date.now() + 24e4).toISOString() : null,
  attempts:
    status === "delivered"
      ? [{ at: new Date(Date.now() - ago + 120).toISOString(), status: 200, took_ms: 84, error: null, response: "ok" }]
      : [{ at: new Date(Date.now() - ago + 120).toISOString(), status: 503, took_ms: 1042, error: null, response: "upstream connect error" },
         { at: new Date(Date.now() - ago + 5200).toISOString(), status: null, took_ms: 10_000, error: "no answer within 10 s", response: "" }],
  body: { type: kind, timestamp: new Date(Date.now() - ago).toISOString(), data: { rule: of.name, value: 41, threshold: ">= 20", query: of.scope.query } },
});
const deliveries = [
  delivery("2KWPBgLlAfxdpx2AI54pPJ85f4W", rules[1] as RuleView, "alert.firing", "pending", 6e4),
  delivery("2KWPBgLlAfxdpx2AI54pPJ85f4X", rules[0] as RuleView, "alert.resolved", "delivered", 9e5),
  delivery("2KWPBgLlAfxdpx2AI54pPJ85f4Y", rules[0] as RuleView, "alert.firing", "delivered", 12e5),
  delivery("2KWPBgLlAfxdpx2AI54pPJ85f4Z", rules[1] as RuleView, "alert.firing", "failed", 8e6),
];

function status(): Status {
  const at = new Date().toISOString();
  const flow = () => 480 + Math.sin(Date.now() / 9000) * 120 + Math.random() * 40;
  const stage = (name: Status["stages"][number]["stage"], gauges: Record<string, number>, rates: Record<string, number>, addresses: Record<string, string> = {}) => ({
    stage: name, instance: `${name}-1`, host: "demo", version: "0.1.0", pid: 4242, started_at: new Date(Date.now() - 42 * 6e4).toISOString(), at,
    stale: false, ready: true, problems: [], addresses, gauges, rates,
    counters: Object.fromEntries(Object.keys(rates).map((key) => [key, 1_284_113])),
  });
  const high = 1_284_113 + Math.floor(Date.now() / 200) % 100_000;
  return {
    ready: true,
    problems: [],
    stages: [
      stage("shipper", { files_open: 9, lag_bytes: 2048 }, { events: flow(), bytes: flow() * 180 }),
      stage("bus", { connections: 7, bytes: 184_000_000 }, { records: flow() * 2 }, { kafka: "127.0.0.1:9092" }),
      stage("processor", {}, { events: flow(), failures: 0.4 }),
      stage("indexer", { lag_events: 31, docs: 1_281_000 }, { events: flow() }, { http: "127.0.0.1:9200" }),
      stage("dashboard", { sessions: 1 }, { searches: 2 }, { http: "127.0.0.1:5601" }),
    ],
    topics: [
      { name: "logs.raw", partitions: [0, 1, 2, 3].map((partition) => ({ partition, low: 0, high: high + partition * 811, lag: { "logmill-processor": partition * 3 } })) },
      { name: "logs.parsed", partitions: [0, 1, 2, 3].map((partition) => ({ partition, low: 0, high: high - partition * 97, lag: { "logmill-indexer": partition * 7 + 2 } })) },
      { name: "logs.dead-letter", partitions: [{ partition: 0, low: 0, high: 42, lag: {} }] },
      { name: "logmill.status", partitions: [{ partition: 0, low: 8000, high: 9200, lag: {} }] },
    ],
    indices: ["nginx", "checkout", "inventory", "syslog"].map((name, order) => ({
      index: `logs-${name}-default`, docs: 640_000 >> order, bytes: 96_000_000 >> order, oldest: new Date(Date.now() - 864e5).toISOString(), newest: at,
    })),
  };
}

async function read(request: IncomingMessage): Promise<any> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text === "" ? {} : JSON.parse(text);
}

function tail(url: URL, request: IncomingMessage, response: ServerResponse): void {
  const scope = JSON.parse(url.searchParams.get("scope") ?? "{}");
  const test = compile(scope.query ?? "");
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (hit: Hit) => {
    if (test(hit) && (scope.filters ?? []).every((filter: Filter) => filter.disabled || passes(filter, hit))) response.write(`event: hit\ndata: ${JSON.stringify({ ...hit, sort: undefined })}\n\n`);
  };
  tails.add(send);
  const skips = setInterval(() => response.write('event: skipped\ndata: {"count": 17}\n\n'), 20_000);
  request.on("close", () => {
    tails.delete(send);
    clearInterval(skips);
  });
}

async function answer(method: string, url: URL, body: any): Promise<unknown> {
  const [, , first, second, third, fourth] = url.pathname.split("/");
  if (first === "session") return session;
  if (first === "login" || first === "setup") {
    if (body.password === "wrong") throw new Refused(401, "name or password is wrong");
    return Object.assign(session, { user: { name: body.name, role: "administrator" }, setup_required: false });
  }
  if (first === "logout") return Object.assign(session, { user: null });
  if (first === "search") return search(body);
  if (first === "query") return compile(body.query), { ok: true };
  if (first === "fields") return second === "values" ? values(body) : fields();
  if (first === "status") return status();
  if (first === "saved") {
    if (method === "DELETE") return void saved.splice(saved.findIndex((one) => one.id === Number(second)), 1);
    if (method === "POST") return saved.push({ ...body, id: nextId++ }), saved.at(-1);
    return saved;
  }
  if (first === "alerts" && second === "deliveries") {
    if (method === "GET") return deliveries.filter((one) => !url.searchParams.get("rule") || one.rule_id === Number(url.searchParams.get("rule")));
    const found = deliveries.find((one) => one.id === third);
    if (found && fourth === "resend") return Object.assign(found, { status: "delivered", next_attempt_at: null, attempts: [...found.attempts, { at: new Date().toISOString(), status: 200, took_ms: 77, error: null, response: "ok" }] });
  }
  if (first === "alerts" && second === "rules") {
    if (method === "GET") return third ? rules.find((one) => one.id === Number(third)) : rules;
    const at = rules.findIndex((one) => one.id === Number(third));
    if (method === "DELETE") return void rules.splice(at, 1);
    if (fourth === "test") {
      deliveries.unshift(delivery(`test${nextId++}`, rules[at] as RuleView, "alert.test", "delivered", 200));
      return deliveries[0];
    }
    const made = { ...rule(third ? Number(third) : nextId++, body.name, body.enabled ? "normal" : "paused", body.scope.query), ...body };
    made.webhook = { url: body.webhook.url, has_secret: true };
    if (method === "PUT") return Object.assign(rules[at] as RuleView, made, { id: Number(third) });
    rules.push(made);
    return { rule: made, secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" };
  }
  throw new Refused(404, `there is nothing at ${url.pathname}`);
}

export function handle(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const url = new URL(request.url ?? "/", "http://mock");
  // As in a demo: the printed link signs in. (/setup?token=form shows the form.)
  if (url.pathname === "/setup" && url.searchParams.get("token") === "demo") {
    session.user = { name: "admin", role: "administrator" };
    return void response.writeHead(303, { location: "/" }).end();
  }
  if (!url.pathname.startsWith("/api/")) return next();
  if (url.pathname === "/api/tail") return tail(url, request, response);
  void (async () => {
    try {
      const result = await answer(request.method ?? "GET", url, await read(request));
      response.writeHead(result === undefined ? 204 : 200, { "content-type": "application/json" });
      response.end(result === undefined ? undefined : JSON.stringify(result));
    } catch (error) {
      const refused = error instanceof Refused ? error : new Refused(500, String(error));
      response.writeHead(refused.status, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { message: refused.message, hint: refused.hint, span: refused.span } }));
    }
  })();
}
