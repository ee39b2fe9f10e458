import { describe, expect, it } from "vitest";
import { leaves, originOf, summaryOf, textOf, unknown, valueOf } from "./event";
import { byLevel, levelOf } from "./levels";
import { markedWords, markWords, segments } from "./marks";
import { ago, bytes, duration, percent, rate } from "./numbers";
import { describe as describeRange, fromInput, isTime, resolve, ticks, toInput } from "./time";
import { DEFAULTS, fromSearch, toSearch } from "./url";
import { Heights } from "./virtual";

describe("marks", () => {
  it("cuts marks into segments and leaves other markup as text", () => {
    expect(segments("a <em>b</em> <b>c</b>")).toEqual([
      { text: "a ", hit: false },
      { text: "b", hit: true },
      { text: " <b>c</b>", hit: false },
    ]);
    expect(segments("<em>open")).toEqual([{ text: "open", hit: true }]);
    expect(segments("")).toEqual([]);
  });
  it("marks the same words in the whole text", () => {
    const words = markedWords(["x <em>a.b</em>", "<em>a.b</em> <em>long a.b</em>"]);
    expect(words).toEqual(["long a.b", "a.b"]);
    expect(markWords("1 a.b 2 long a.b axb", words).filter((segment) => segment.hit).map((segment) => segment.text)).toEqual(["a.b", "long a.b"]);
  });
});

describe("event", () => {
  const source = { "@timestamp": "t", log: { level: "info", "file.path": "/var/log/a.log" }, "host.name": "h", tags: ["a", "b"], empty: {} };
  it("finds nested and dotted spellings alike", () => {
    expect(valueOf(source, "log.level")).toBe("info");
    expect(valueOf(source, "log.file.path")).toBe("/var/log/a.log");
    expect(valueOf(source, "host.name")).toBe("h");
    expect(valueOf(source, "log.none")).toBeUndefined();
    expect(valueOf(source, "toString")).toBeUndefined();
  });
  it("lists leaves by name", () => {
    expect(leaves(source).map(([name]) => name)).toEqual(["@timestamp", "empty", "host.name", "log.file.path", "log.level", "tags"]);
    expect(textOf(["a", 1])).toBe("a, 1");
  });
  it("knows hits by index and id", () => {
    const hit = (index: string, id: string) => ({ index, id, sort: [], source: {} });
    expect(unknown([hit("a", "1"), hit("b", "1"), hit("b", "1"), hit("a", "2")], [hit("a", "2")])).toEqual([hit("a", "1"), hit("b", "1")]);
  });
  it("sums up an event without a message", () => {
    expect(summaryOf({ a: 1, b: { c: "x" } })).toBe("a=1 b.c=x");
    expect(summaryOf({ message: "m", a: 1 })).toBe("m");
    expect(originOf(source)).toBe("a.log");
  });
});

describe("levels", () => {
  it("knows spellings", () => {
    expect(levelOf("WARNING")).toBe("warn");
    expect(levelOf(7)).toBe("none");
    expect(byLevel({ err: 1, error: 2, "": 4 })).toMatchObject({ error: 3, none: 4, info: 0 });
  });
});

describe("numbers", () => {
  it("are short", () => {
    expect([bytes(0), bytes(1500), bytes(123_456_789)]).toEqual(["0 B", "1.5 kB", "123 MB"]);
    expect([duration(12), duration(1500), duration(90_000), duration(864e5)]).toEqual(["12 ms", "1.5 s", "1.5 min", "1 d"]);
    expect([percent(1, 1000), percent(999, 1000), percent(1, 2), percent(0, 0)]).toEqual(["<1 %", "99 %", "50 %", "0 %"]);
    expect([rate(0), rate(1.25), rate(1234.5)]).toEqual(["0", "1.3", "1,235"]);
    expect([ago(null), ago(1000, 61_000)]).toEqual(["never", "1 min ago"]);
  });
});

describe("time", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  it("resolves date math", () => {
    expect(resolve("now-15m", now)).toBe(now - 15 * 6e4);
    expect(resolve("now-1d+1h/h", now)).toBe(now - 23 * 36e5);
    expect(resolve("2026-11-22T00:00:00Z")).toBe(Date.parse("2026-11-22T00:00:00Z"));
    expect(resolve("yesterday")).toBeNull();
    expect([isTime("now/d"), isTime("now-5x"), isTime("2026-11-22"), isTime("2026")]).toEqual([true, false, true, false]);
  });
  it("says ranges in words", () => {
    expect(describeRange({ from: "now-15m", to: "now" }, true)).toBe("Last 15 minutes");
    expect(describeRange({ from: "now-1d", to: "now" }, true)).toBe("Last 1 day");
    expect(describeRange({ from: "2026-11-22T10:00:00Z", to: "2026-11-22T11:30:00Z" }, true)).toBe("2026-11-22 10:00 → 11:30");
  });
  it("goes through an input and back", () => {
    for (const utc of [true, false]) expect(fromInput(toInput(now, utc), utc)).toBe(now);
    expect(fromInput("", true)).toBeNull();
  });
  it("puts ticks on round times", () => {
    const found = ticks(now - 15 * 6e4, now, 6, true);
    expect(found.map((tick) => tick.label)).toEqual(["11:45", "11:50", "11:55", "12:00"]);
    expect(ticks(now, now, 6, true)).toEqual([]);
  });
});

describe("url", () => {
  it("keeps the state of the page", () => {
    expect(toSearch(DEFAULTS)).toBe("");
    const state = {
      ...DEFAULTS,
      query: 'a: "b & c"',
      language: "lucene" as const,
      filters: [{ field: "x", op: "is" as const, value: "1,2" }, { field: "y", op: "exists" as const, disabled: true }],
      columns: ["host.name"],
      sort: "asc" as const,
      from: "now-1h",
      live: true,
    };
    expect(fromSearch(toSearch(state))).toEqual(state);
  });
  it("drops nonsense", () => {
    expect(fromSearch("?f=nonsense&f={}&sort=up&lang=sql")).toEqual(DEFAULTS);
  });
});

describe("Heights", () => {
  it("agrees with plain sums", () => {
    const heights = new Heights(20);
    heights.resize(10);
    const plain: number[] = Array.from({ length: 5000 }, () => 20);
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 300; round++) {
      const count = 10 + round * 16;
      heights.resize(count);
      const row = random(count);
      const height = 20 + random(300);
      plain[row] = height;
      heights.set(row, height);
      const probe = random(count);
      const sum = plain.slice(0, probe).reduce((a, b) => a + b, 0);
      expect(heights.offset(probe)).toBe(sum);
      expect(heights.at(sum)).toBe(probe);
      expect(heights.at(sum + 1)).toBe(probe);
    }
    heights.resize(3);
    heights.resize(100);
    expect(heights.total).toBe(plain.slice(0, 3).reduce((a, b) => a + b, 0) + 97 * 20);
  });
});
