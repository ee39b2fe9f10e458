import { describe, expect, it } from "vitest";
import { completionAt, quote, tokens } from "./query";

const at = (marked: string, language: "kql" | "lucene" = "kql") => completionAt(marked.replace("|", ""), marked.indexOf("|"), language);

describe("tokens", () => {
  it("cuts the whole text, and names fields", () => {
    const text = 'log.level: (error or "a b") and bytes >= 10';
    const cut = tokens(text, "kql");
    expect(cut.map((token) => token.text).join("")).toBe(text);
    expect(cut.filter((token) => token.kind === "field").map((token) => token.text)).toEqual(["log.level", "bytes"]);
    expect(cut.filter((token) => token.kind === "keyword").map((token) => token.text)).toEqual(["or", "and"]);
  });
  it("loses nothing of broken text", () => {
    for (const text of ['"open', "a:\\", "((", ":::", '\\"', "a\nb", "é😀:ü"]) expect(tokens(text, "lucene").map((token) => token.text).join("")).toBe(text);
  });
  it("knows the keywords of each language", () => {
    expect(tokens("and", "kql")[0]?.kind).toBe("keyword");
    expect(tokens("and", "lucene")[0]?.kind).toBe("word");
    expect(tokens("&&", "lucene")[0]?.kind).toBe("keyword");
  });
});

describe("completionAt", () => {
  it("wants a field at the start, after and/or/not, and in a group", () => {
    for (const text of ["|", "lo|", "a: b and |", "not ho|", "(h|"]) expect(at(text).want).toBe("field");
  });
  it("wants a value after an operator and in a field's group", () => {
    expect(at("log.level:|")).toMatchObject({ want: "value", field: "log.level", prefix: "" });
    expect(at("log.level: er|")).toMatchObject({ want: "value", field: "log.level", prefix: "er", from: 11 });
    expect(at("log.level: (warn or er|")).toMatchObject({ want: "value", field: "log.level", prefix: "er" });
    expect(at('host.name: "we|')).toMatchObject({ want: "value", field: "host.name", prefix: "we", from: 11 });
  });
  it("wants and/or after a value", () => {
    expect(at("log.level: error |").want).toBe("operator");
    expect(at("(a: b) |").want).toBe("operator");
    expect(at("a: (b) |").want).toBe("operator");
  });
});

describe("quote", () => {
  it("quotes what the languages would read otherwise", () => {
    expect(quote("error")).toBe("error");
    expect(quote(200)).toBe("200");
    expect(quote("and")).toBe('"and"');
    expect(quote('say "hi" \\')).toBe('"say \\"hi\\" \\\\"');
    expect(quote("/var/log")).toBe('"/var/log"');
    expect(quote("")).toBe('""');
  });
});
