// Narrowing down: values of all matches, counted.  One click adds a condition to the filter, another takes it back.

import { count, h, shown } from "./dom.js";
import { clause, clauses } from "./clauses.js";

const MOST = 8; // values of a field

/** Draw into `place`; `narrow(field, value)` is called for what is clicked. */
export function draw(place, facets, { filter, narrow }) {
  const conditions = clauses(filter);
  const isOn = (field, value) => conditions.includes(clause(field, value));
  const open = place.querySelector("details")?.open ?? innerWidth > 720;
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.clause : null;
  const blocks = Object.entries(facets)
    .filter(([field, values]) => values.length > 1 || (values.length && isOn(field, values[0].value)))
    .map(([field, values]) => block(field, values, { isOn, narrow }));
  place.replaceChildren(...(blocks.length ? [h("details", { open }, h("summary", {}, "Narrow down"), blocks)] : []));
  if (focused) place.querySelector(`[data-clause="${CSS.escape(focused)}"]`)?.focus();
}

function block(field, values, { isOn, narrow }) {
  const most = values[0].count;
  const row = ({ value, count: number }) =>
    h("li", {}, h("button", {
      type: "button", "aria-pressed": String(isOn(field, value)), "data-clause": clause(field, value),
      onclick: () => narrow(field, value), style: { "--share": `${(100 * number) / most}%` },
    }, h("bdi", {}, shown(value)), h("span", { class: "dim" }, count(number))));
  return h("section", {}, h("h2", {}, field), h("ul", {}, values.slice(0, MOST).map(row)));
}
