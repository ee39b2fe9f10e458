import { expect, it } from "vitest";
import type { Rule } from "../lib/types";
import { conditionOf, lastAttempt, wouldFire } from "./words";

const rule: Rule = {
  name: "r", enabled: true, type: "threshold", scope: { query: "", language: "kql", filters: [] },
  window_s: 300, every_s: 30, threshold: { op: ">=", value: 1200 }, webhook: { url: "" },
};

it("says conditions", () => {
  expect(conditionOf(rule)).toBe("≥ 1,200 events in 5 min, every 30 s");
  expect(conditionOf({ ...rule, type: "match" })).toBe("any event, every 30 s");
});

it("compares as the rule says", () => {
  const fires = (op: ">" | ">=" | "<" | "<=") => [4, 5, 6].map((value) => wouldFire({ op, value: 5 }, value));
  expect([fires(">"), fires(">="), fires("<"), fires("<=")]).toEqual([
    [false, false, true], [false, true, true], [true, false, false], [true, true, false],
  ]);
});

it("says what became of a delivery", () => {
  const at = { at: "", took_ms: 84, response: "" };
  const delivery = { id: "", rule_id: 1, rule_name: "", event: "alert.test" as const, created_at: "", status: "failed" as const, next_attempt_at: null, body: {} };
  expect(lastAttempt({ ...delivery, attempts: [] })).toBe("not tried yet");
  expect(lastAttempt({ ...delivery, attempts: [{ ...at, status: 200, error: null }] })).toBe("200 in 84 ms");
  expect(lastAttempt({ ...delivery, attempts: [{ ...at, status: null, error: "refused" }] })).toBe("refused");
});
