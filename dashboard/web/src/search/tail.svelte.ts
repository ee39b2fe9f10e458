// The live tail: new events from the server, put on top of the rows, held back while the reader looks at older ones.
import { textOf, valueOf } from "../lib/event";
import type { ApiError, Hit, Scope } from "../lib/types";

/** Rows kept while the tail runs; older ones can be searched for. */
const ROWS_MAX = 5000;
/** Held back while paused; what comes beyond is counted as skipped. */
const HELD_MAX = 2000;
/** Rows are added in batches this often: fast enough to feel live, rare enough to read. */
const FLUSH_MS = 200;
/** Ids remembered to drop what the history brought already. */
const SEEN_MAX = 20_000;

export class Tail {
  on = $state(false);
  connected = $state(false);
  paused = $state(false);
  held = $state(0);
  skipped = $state(0);
  error = $state("");

  #source: EventSource | null = null;
  #queue: Hit[] = [];
  /** Until the history stands, what comes is only gathered. */
  #joined = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly rows: () => Hit[],
    private readonly setRows: (rows: Hit[]) => void,
  ) {}

  start(scope: Scope): void {
    this.stop();
    const { from: _from, to: _to, ...timeless } = scope;
    this.on = true;
    this.#joined = false;
    this.error = "";
    this.skipped = 0;
    const source = new EventSource(`/api/tail?scope=${encodeURIComponent(JSON.stringify(timeless))}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.connected = true;
      this.error = "";
    });
    source.addEventListener("hit", (event) => this.#take(JSON.parse((event as MessageEvent<string>).data) as Hit));
    source.addEventListener("skipped", (event) => {
      this.skipped += (JSON.parse((event as MessageEvent<string>).data) as { count: number }).count;
    });
    // Both the server's own "error" event, which carries data, and a lost connection arrive under this name.
    source.addEventListener("error", (event) => {
      this.connected = false;
      const data = (event as MessageEvent<string | undefined>).data;
      if (data) {
        this.error = (JSON.parse(data) as ApiError["error"]).message;
        source.close();
      } else if (source.readyState === EventSource.CLOSED) {
        this.error = "the server closed the live tail";
      } else this.error = "connection lost; trying again";
    });
    this.#timer = setInterval(() => this.#flush(), FLUSH_MS);
  }

  stop(): void {
    this.#source?.close();
    this.#source = null;
    clearInterval(this.#timer);
    this.on = this.connected = this.paused = false;
    this.#queue = [];
    this.held = 0;
  }

  /** The history is in the rows now: what came meanwhile goes on top of it. */
  join(): void {
    this.#joined = true;
    this.#flush();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#flush();
  }

  #take(hit: Hit): void {
    if (this.#queue.length >= HELD_MAX) {
      this.#queue.shift();
      this.skipped += 1;
    }
    this.#queue.push(hit);
  }

  #flush(): void {
    if (this.paused || !this.#joined) {
      this.held = this.#queue.length;
      return;
    }
    this.held = 0;
    if (this.#queue.length === 0) return;
    const known = this.rows();
    const seen = new Set(known.slice(0, SEEN_MAX).map((hit) => hit.id));
    const time = (hit: Hit) => textOf(valueOf(hit.source, "@timestamp"));
    // Several files arrive side by side: within a batch they are put in order, across batches arrival is the order.
    const fresh = this.#queue.filter((hit) => !seen.has(hit.id)).sort((a, b) => (time(a) < time(b) ? 1 : -1));
    this.#queue = [];
    if (fresh.length > 0) this.setRows([...fresh, ...known].slice(0, ROWS_MAX));
  }
}
