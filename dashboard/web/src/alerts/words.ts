// Rules and deliveries in words.
import { count, duration } from "../lib/numbers";
import type { Delivery, Rule, RuleView } from "../lib/types";

const SIGNS = { ">": ">", ">=": "≥", "<": "<", "<=": "≤" } as const;

/** "≥ 20 events in 5 min", "any event", and how often it is looked at. */
export function conditionOf(rule: Rule): string {
  const every = `every ${duration(rule.every_s * 1000)}`;
  if (rule.type === "match") return `any event, ${every}`;
  const { op, value } = rule.threshold ?? { op: ">" as const, value: 0 };
  return `${SIGNS[op]} ${count(value)} events in ${duration(rule.window_s * 1000)}, ${every}`;
}

export function wouldFire(threshold: NonNullable<Rule["threshold"]>, value: number): boolean {
  switch (threshold.op) {
    case ">":
      return value > threshold.value;
    case ">=":
      return value >= threshold.value;
    case "<":
      return value < threshold.value;
    case "<=":
      return value <= threshold.value;
  }
}

export const STATES: Record<RuleView["state"]["status"], { word: string; tone: "good" | "bad" | "caution" | "" }> = {
  firing: { word: "Firing", tone: "bad" },
  error: { word: "Error", tone: "caution" },
  normal: { word: "Normal", tone: "good" },
  paused: { word: "Paused", tone: "" },
};

export const EVENTS: Record<Delivery["event"], string> = { "alert.firing": "Firing", "alert.resolved": "Resolved", "alert.test": "Test" };

export const RESULTS: Record<Delivery["status"], { word: string; tone: "good" | "bad" | "caution" }> = {
  delivered: { word: "Delivered", tone: "good" },
  pending: { word: "Will retry", tone: "caution" },
  failed: { word: "Failed", tone: "bad" },
};

/** What the last attempt came to: "200 in 84 ms", "no answer within 10 s". */
export function lastAttempt(delivery: Delivery): string {
  const last = delivery.attempts.at(-1);
  if (!last) return "not tried yet";
  return last.error ?? `${last.status} in ${duration(last.took_ms)}`;
}
