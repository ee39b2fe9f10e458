// A sign for each type of field, short enough for a narrow column.
const SIGNS: Record<string, string> = {
  keyword: "k", text: "t", long: "#", integer: "#", unsigned_long: "#", double: "#", float: "#", boolean: "?", date: "@", ip: "ip", object: "{}", flattened: "{}",
};

export const iconOfType = (type: string) => SIGNS[type] ?? "·";

const NAMES: Record<string, string> = { keyword: "exact text", text: "full text", long: "whole number", double: "number", boolean: "yes or no", date: "time", ip: "address" };

export const nameOfType = (type: string) => NAMES[type] ?? type;
