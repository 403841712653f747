// The part of the filter language that the page reads and writes.

const TOKENS = /"(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?|[\p{L}_][\p{L}\p{N}_.-]*|[^]/gu;
const NAME = /^[\p{L}_][\p{L}\p{N}_.-]*$/u;
const KEYWORD = /^(and|or|not|in|exists|true|false)$/i;

/** Split a filter into quoted texts (the last may be open), names and keywords, and single characters. */
export const tokens = (filter) => filter.match(TOKENS) ?? [];

/** Text in quotes.  A backslash escapes the next character. */
export const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** A field name, in quotes if the language needs them. */
export const named = (field) => (NAME.test(field) && !KEYWORD.test(field) ? field : quoted(field));

/** The condition that a field has a value. */
export const clause = (field, value) => `${named(field)} = ${typeof value === "string" ? quoted(value) : value}`;

/** The conditions joined by AND; a filter with OR is one condition, in parentheses. */
export function clauses(filter) {
  const found = [""];
  let depth = 0;
  for (const token of tokens(filter)) {
    const word = depth ? "" : token.toUpperCase();
    if (word === "OR") return [`(${filter.trim()})`];
    if (token === "(") depth++;
    if (token === ")") depth--;
    if (word === "AND") found.push("");
    else found[found.length - 1] += token;
  }
  return found.map((condition) => condition.trim()).filter(Boolean);
}

/** Add a condition to the filter, or remove it if the filter has it. */
export function toggled(filter, condition) {
  const before = clauses(filter);
  const remaining = before.filter((other) => other !== condition);
  return (remaining.length < before.length ? remaining : [...before, condition]).join(" AND ");
}
