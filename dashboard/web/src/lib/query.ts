// What the query bar must know of KQL and Lucene to colour and complete them. The server's parser is the judge of what is valid.
import type { Language } from "./types";

export type TokenKind = "field" | "operator" | "keyword" | "string" | "word" | "group" | "space";

export interface Token {
  kind: TokenKind;
  from: number;
  to: number;
  text: string;
}

const SHAPES = /(\s+)|("(?:[^"\\]|\\.)*"?)|([(){}[\]])|(:(?:>=|<=|>|<)?|>=|<=|>|<)|((?:[^\s"(){}[\]:<>\\]|\\.|\\$)+)|(.)/gsu;
const KQL_KEYWORDS = /^(?:and|or|not)$/i;
const LUCENE_KEYWORDS = /^(?:AND|OR|NOT|TO|&&|\|\||!)$/;

/** Cuts a query into coloured pieces; every character belongs to one. */
export function tokens(text: string, language: Language): Token[] {
  const cut: Token[] = [];
  for (const match of text.matchAll(SHAPES)) {
    const [whole, space, quoted, group, operator, word] = match;
    let kind: TokenKind = "word";
    if (space !== undefined) kind = "space";
    else if (quoted !== undefined) kind = "string";
    else if (group !== undefined) kind = "group";
    else if (operator !== undefined) kind = "operator";
    else if (word !== undefined && (language === "kql" ? KQL_KEYWORDS : LUCENE_KEYWORDS).test(word)) kind = "keyword";
    cut.push({ kind, from: match.index, to: match.index + whole.length, text: whole });
    if (kind === "operator") nameField(cut);
  }
  return cut;
}

/** The word before an operator is a field. */
function nameField(cut: Token[]): void {
  const at = cut.at(-2)?.kind === "space" ? cut.length - 3 : cut.length - 2;
  const before = cut[at];
  if (before && (before.kind === "word" || before.kind === "keyword" || before.kind === "string")) before.kind = "field";
}

export type Completion =
  | { want: "field"; from: number; to: number; prefix: string }
  | { want: "value"; from: number; to: number; prefix: string; field: string }
  | { want: "operator"; from: number; to: number; prefix: string };

/** What could be written at the caret, and which part of the text it would replace. */
export function completionAt(text: string, caret: number, language: Language): Completion {
  const before = tokens(text.slice(0, caret), language);
  let current: Token | undefined;
  const last = before.at(-1);
  if (last && (last.kind === "word" || last.kind === "keyword" || (last.kind === "string" && !isClosed(last.text)))) current = before.pop();
  const from = current?.from ?? caret;
  const prefix = (current?.text ?? "").replace(/^"/, "");
  const touching = before.at(-1);
  const significant = before.filter((token) => token.kind !== "space");
  const field = fieldInForce(significant);
  const previous = significant.at(-1);
  if (previous?.kind === "operator" && field !== null) return { want: "value", from, to: caret, prefix, field };
  if (!previous || previous.kind === "keyword" || previous.text === "(" || previous.text === "{") {
    return field !== null && previous ? { want: "value", from, to: caret, prefix, field } : { want: "field", from, to: caret, prefix };
  }
  // A word after a word: more free text, or and/or.
  if (touching?.kind === "space") return { want: "operator", from, to: caret, prefix };
  return { want: "field", from, to: caret, prefix };
}

const isClosed = (quoted: string) => quoted.length > 1 && quoted.endsWith('"') && !quoted.endsWith('\\"');

/** The field whose value is being written: `field: ‸`, `field: (a or ‸`. */
function fieldInForce(significant: Token[]): string | null {
  const groups: (string | null)[] = [];
  let pending: string | null = null;
  let named: string | null = null;
  for (const token of significant) {
    if (token.kind === "field") named = unescape(token.text);
    else if (token.kind === "operator") pending = named;
    else if (token.text === "(") {
      groups.push(pending ?? groups.at(-1) ?? null);
      pending = null;
    } else if (token.text === ")") {
      groups.pop();
      pending = null;
    } else pending = null;
  }
  return pending ?? groups.at(-1) ?? null;
}

const unescape = (text: string) => text.replace(/^"|"$/g, "").replace(/\\(.)/g, "$1");

/** A value as the query must spell it. */
export function quote(value: string | number | boolean): string {
  const text = String(value);
  if (typeof value !== "string" || (/^[\w][\w.]*$/.test(text) && !/^(?:and|or|not|to)$/i.test(text))) return text;
  return `"${text.replace(/[\\"]/g, "\\$&")}"`;
}
