// Ranges of numbers and dates for facets: about five, between round edges.

import { named } from "./clauses.js";

const RANGES = 5; // about so many
const YEAR = 31_556_952_000; // milliseconds, on average
const DAY = 86_400_000;

/** The facets of ranges of some fields of an overview: {name: text for the service}. */
export function rangeFacets(fields, names) {
  const facets = fields.filter(({ name }) => names.includes(name)).flatMap(({ name, type, least, most }) => {
    const edges = least === null ? [] : type.startsWith("date") ? dateEdges(least, most) : edgesBetween(least, most);
    return edges.length ? [[name, `${named(name)} [${edges.join(", ")}]`]] : [];
  });
  return Object.fromEntries(facets);
}

/** Round numbers above `least` and up to `most`, at equal distances of 1, 2 or 5 times a power of ten. */
function edgesBetween(least, most) {
  const span = most - least;
  if (!(span > 0) || !Number.isFinite(span)) return [];
  const power = 10 ** Math.floor(Math.log10(span / RANGES));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power * RANGES >= span);
  const edges = [];
  for (let at = Math.floor(least / step) + 1; at * step <= most; at++) edges.push(Number((at * step).toPrecision(12)));
  return edges;
}

/** First days of years, or of months, or days, between two times of ISO 8601. */
function dateEdges(least, most) {
  const [from, to] = [new Date(least), new Date(most)];
  const years = (to - from) / YEAR;
  const month = (date) => date.getUTCFullYear() * 12 + date.getUTCMonth();
  if (years > 2) return edgesBetween(from.getUTCFullYear(), to.getUTCFullYear()).filter(Number.isInteger).map((year) =>
    `"${String(year).padStart(4, "0")}-01-01"`);
  const edges = years > 1 / 6 ? edgesBetween(month(from), month(to)) : edgesBetween(from / DAY, to / DAY);
  const first = (number) => Date.UTC(Math.floor(number / 12), number % 12, 1);
  return edges.filter(Number.isInteger).map((number) =>
    `"${new Date(years > 1 / 6 ? first(number) : number * DAY).toISOString().slice(0, 10)}"`);
}
