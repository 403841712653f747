// Facets: counts of values over all matches.  One click adds a condition to the filter, a second removes it.

import { count, h, shown } from "./dom.js";
import { clause, clauses } from "./clauses.js";

const MAX_VALUES = 8; // of a field

/** Draw into `element`; a click calls `narrow(field, value)`. */
export function draw(element, facets, { filter, narrow }) {
  const conditions = clauses(filter);
  const isOn = (field, value) => conditions.includes(clause(field, value));
  const open = element.querySelector("details")?.open ?? innerWidth > 720;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.clause : null;
  const blocks = Object.entries(facets)
    .filter(([field, values]) => values.length > 1 || (values.length && isOn(field, values[0].value)))
    .map(([field, values]) => block(field, values, { isOn, narrow }));
  element.replaceChildren(...(blocks.length ? [h("details", { open }, h("summary", {}, "Narrow down"), blocks)] : []));
  if (focused) element.querySelector(`[data-clause="${CSS.escape(focused)}"]`)?.focus();
}

function block(field, values, { isOn, narrow }) {
  const maxCount = values[0].count;
  const row = ({ value, count: number }) =>
    h("li", {}, h("button", {
      type: "button", "aria-pressed": String(isOn(field, value)), "data-clause": clause(field, value),
      onclick: () => narrow(field, value), style: { "--share": `${(100 * number) / maxCount}%` },
    }, h("bdi", {}, shown(value)), h("span", { class: "dim" }, count(number))));
  return h("section", {}, h("h2", {}, field), h("ul", {}, values.slice(0, MAX_VALUES).map(row)));
}
