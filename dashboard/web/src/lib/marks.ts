// Highlights arrive as text with <em>…</em> around matches. They are cut into segments here and never become HTML.

export interface Segment {
  text: string;
  hit: boolean;
}

const OPEN = "<em>";
const CLOSE = "</em>";

/** Cuts a marked text. A mark that is never closed reaches to the end. */
export function segments(marked: string): Segment[] {
  const cut: Segment[] = [];
  const push = (text: string, hit: boolean) => {
    if (text !== "") cut.push({ text, hit });
  };
  let at = 0;
  while (at < marked.length) {
    const open = marked.indexOf(OPEN, at);
    if (open < 0) break;
    push(marked.slice(at, open), false);
    const close = marked.indexOf(CLOSE, open + OPEN.length);
    push(marked.slice(open + OPEN.length, close < 0 ? undefined : close), true);
    at = close < 0 ? marked.length : close + CLOSE.length;
  }
  push(marked.slice(at), false);
  return cut;
}

/** The words that a highlight marks, to be found again in the whole text. */
export function markedWords(fragments: readonly string[]): string[] {
  const words = new Set<string>();
  for (const fragment of fragments) for (const segment of segments(fragment)) if (segment.hit) words.add(segment.text);
  return [...words].sort((a, b) => b.length - a.length);
}

/** The whole text with those words marked. Texts beyond `limit` are marked up to it only, so that a huge line stays cheap. */
export function markWords(text: string, words: readonly string[], limit = 20_000): Segment[] {
  if (words.length === 0) return text === "" ? [] : [{ text, hit: false }];
  const head = text.slice(0, limit);
  const pattern = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "g");
  const cut: Segment[] = [];
  let at = 0;
  for (const match of head.matchAll(pattern)) {
    if (match[0] === "") continue;
    if (match.index > at) cut.push({ text: text.slice(at, match.index), hit: false });
    cut.push({ text: match[0], hit: true });
    at = match.index + match[0].length;
  }
  if (at < text.length) cut.push({ text: text.slice(at), hit: false });
  return cut;
}
