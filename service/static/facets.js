// Facets: counts of values and of ranges over all matches.  A click chooses one more, a second takes it back.

import { count, h, shown } from "./dom.js";
import { isChosen, isRange, withChoice, withRange } from "./clauses.js";

const MAX_VALUES = 8; // of a field

/** Draw the facets of an answer into `element`; a click changes the filter of that time by `setFilter(filter)`. */
export function draw(element, { facets = {}, facet_stats: stats = {} }, { state, setFilter }) {
  const open = element.querySelector("details")?.open ?? innerWidth > 720;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.choice : null;
  const values = Object.entries(facets).map(([field, found]) => valueRows(field, found, { state, setFilter }));
  const ranges = Object.entries(stats)
    .map(([field, { ranges: found }]) => rangeRows(field, found, { state, setFilter }));
  const blocks = [...values, ...ranges].filter(({ rows }) => rows.length > 1 || rows.some(({ on }) => on)).map(block);
  element.replaceChildren(...(blocks.length ? [h("details", { open }, h("summary", {}, "Narrow down"), blocks)] : []));
  if (focused) element.querySelector(`[data-choice="${CSS.escape(focused)}"]`)?.focus();
}

/** The rows of the frequent values, and of chosen ones that are not frequent. */
function valueRows(field, found, { state, setFilter }) {
  const rows = found.map(({ value, count: number }) => ({
    label: shown(value), number, on: isChosen(state.filter, field, value),
    choose: () => setFilter(withChoice(state.filter, field, value)),
  }));
  return { field, rows: rows.filter(({ on }, place) => on || place < MAX_VALUES) };
}

function rangeRows(field, found, { state, setFilter }) {
  const rows = found.map(({ start, end, count: number }) => {
    const range = { start: bound(start), end: bound(end) };
    const on = isRange(state.filter, field, range);
    return { label: rangeLabel(range), number, on, choose: () => setFilter(withRange(state.filter, field, range)) };
  });
  return { field, rows: rows.filter(({ number, on }) => number || on) };
}

/** An edge as the filter has it: a number, or a date without a time. */
const bound = (edge) => (typeof edge === "string" ? shown(edge) : edge);

function rangeLabel({ start, end }) {
  if (start === null) return `below ${end}`;
  return end === null ? `${start} and above` : `${start} to below ${end}`;
}

function block({ field, rows }) {
  const maxCount = Math.max(1, ...rows.map(({ number }) => number));
  const row = ({ label, number, on, choose }) =>
    h("li", {}, h("button", {
      type: "button", "aria-pressed": String(on), "data-choice": `${field} ${label}`,
      onclick: choose, style: { "--share": `${(100 * number) / maxCount}%` },
    }, h("bdi", {}, label), h("span", { class: "dim" }, count(number))));
  return h("section", {}, h("h2", {}, field), h("ul", {}, rows.map(row)));
}
