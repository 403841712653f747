// The filter language, as far as the page reads and writes it.

const TOKENS = /"(?:[^"\\]|\\[^])*"?|'(?:[^'\\]|\\[^])*'?|[\p{L}_][\p{L}\p{N}_.-]*|[^]/gu;
const NAME = /^[\p{L}_][\p{L}\p{N}_.-]*$/u;
const KEYWORD = /^(and|or|not|in|exists|true|false)$/i;

/** Quoted texts, one that is still open too; names and keywords; all else character by character. */
export const tokens = (filter) => filter.match(TOKENS) ?? [];

/** Text in quotes.  The language knows one escape, the backslash, and takes what follows it as it is. */
export const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** A field as the language names it. */
export const named = (field) => (NAME.test(field) && !KEYWORD.test(field) ? field : quoted(field));

/** The condition that a field has a value. */
export const clause = (field, value) => `${named(field)} = ${typeof value === "string" ? quoted(value) : value}`;

/** The conditions that all have to hold; alternatives count as one, in parentheses. */
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
  return found.map((each) => each.trim()).filter(Boolean);
}

/** The filter with a condition more, or without it where it stands there already. */
export function toggled(filter, condition) {
  const before = clauses(filter);
  const left = before.filter((each) => each !== condition);
  return (left.length < before.length ? left : [...before, condition]).join(" AND ");
}
