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

const literal = (value) => (typeof value === "string" ? quoted(value) : String(value));

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

/** The values of a condition `field = value` or `field IN [value, …]`, as they are written; none for another one. */
function valuesOf(condition, field) {
  const [name, operator, ...rest] = tokens(condition).filter((token) => token.trim());
  if (name !== named(field) || !rest.length) return [];
  if (operator === "=") return [rest.join("")];
  if (operator.toUpperCase() !== "IN" || rest[0] !== "[" || rest.at(-1) !== "]") return [];
  const values = [""];
  for (const token of rest.slice(1, -1)) {
    if (token === ",") values.push("");
    else values[values.length - 1] += token;
  }
  return values;
}

/** Whether a condition of the filter names the value of a field. */
export const isChosen = (filter, field, value) =>
  clauses(filter).some((condition) => valuesOf(condition, field).includes(literal(value)));

/** Choose a further value of a field, or take a chosen one back.  Chosen values are alternatives. */
export function withChoice(filter, field, value) {
  const conditions = clauses(filter);
  const chosen = conditions.map((condition) => valuesOf(condition, field));
  const has = chosen.findIndex((values) => values.includes(literal(value)));
  const place = has < 0 ? chosen.findIndex((values) => values.length) : has;
  const before = chosen[place] ?? [];
  const after = has < 0 ? [...before, literal(value)] : before.filter((other) => other !== literal(value));
  const condition = after.length > 1 ? `${named(field)} IN [${after.join(", ")}]` : `${named(field)} = ${after[0]}`;
  conditions.splice(place < 0 ? conditions.length : place, place < 0 ? 0 : 1, ...(after.length ? [condition] : []));
  return conditions.join(" AND ");
}

/** Demand a value of a field besides all other conditions, or take a chosen one back. */
export const narrowed = (filter, field, value) =>
  isChosen(filter, field, value)
    ? withChoice(filter, field, value)
    : [...clauses(filter), `${named(field)} = ${literal(value)}`].join(" AND ");

/** The conditions of a range from `start` to below `end`; null is no bound. */
const bounds = (field, { start, end }) => [
  ...(start === null ? [] : [`${named(field)} >= ${literal(start)}`]),
  ...(end === null ? [] : [`${named(field)} < ${literal(end)}`]),
];

/** Whether the conditions of a range are those of the filter on its field. */
export function isRange(filter, field, range) {
  const found = clauses(filter).filter((condition) => isBound(condition, field));
  return found.join() === bounds(field, range).join();
}

function isBound(condition, field) {
  const [name, operator] = tokens(condition).filter((token) => token.trim());
  return name === named(field) && /^[<>]$/.test(operator);
}

/** Choose a range of a field instead of another one, or take it back. */
export function withRange(filter, field, range) {
  const others = clauses(filter).filter((condition) => !isBound(condition, field));
  return [...others, ...(isRange(filter, field, range) ? [] : bounds(field, range))].join(" AND ");
}
