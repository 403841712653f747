// The query form: query, modes, weight, filter, order, and the switches for operators, near copies and judging.

import { h } from "./dom.js";
import { RERANKS, WEIGHT, api, choices } from "./api.js";

export class QueryForm {
  /** `actions`: `change(changes, options)` for a new setting, `submit()`, and `judge(checkbox)`. */
  constructor(state, collection, details, actions) {
    Object.assign(this, { state, collection, details, actions });
    this.draw();
    this.drawChoices();
  }

  draw() {
    const { state } = this;
    const { change } = this.actions;
    this.box = h("input", {
      id: "q", type: "search", dir: "auto", value: state.q, placeholder: "Ask in your own words…",
      autocomplete: "off", spellcheck: "false", "aria-label": "Query", "aria-keyshortcuts": "/",
      oninput: () => change({ q: this.box.value, page: 1, why: "" }),
    });
    this.filter = h("input", {
      id: "filter", dir: "auto", value: state.filter, autocomplete: "off", spellcheck: "false",
      placeholder: "filter, such as year >= 2020", "aria-label": "Filter", "aria-describedby": "filter-error",
      oninput: () => change({ filter: this.filter.value, page: 1 }, { typing: true }),
      onchange: () => change({ filter: this.filter.value, page: 1 }),
      onfocus: () => this.complete(),
    });
    this.filterError = h("p", { id: "filter-error", class: "error", role: "alert", hidden: true });
    this.modes = h("div", { class: "segments", role: "radiogroup", "aria-label": "Rank by" });
    const reorder = () => change({ sort: this.sort.value, page: 1 });
    this.sort = h("select", { "aria-label": "Order", onchange: reorder });
    this.operators = h("input", {
      type: "checkbox", id: "operators", checked: state.syntax === "operators",
      onchange: () => change({ syntax: this.operators.checked ? "operators" : "", page: 1 }),
    });
    this.operatorsBox = h("label", {
      class: "switch", for: "operators", title: 'A "phrase in quotes" must occur, and a -word must not',
    }, this.operators, " Operators");
    this.join = h("input", {
      type: "checkbox", id: "join", checked: Boolean(state.join),
      onchange: () => change({ join: this.join.checked ? "near" : "", page: 1 }),
    });
    const joinBox = h("label", {
      class: "switch", for: "join", title: "Of nearly equal texts, show only the best",
    }, this.join, " Join near copies");
    this.rerank = h("input", {
      type: "checkbox", id: "rerank", checked: Boolean(state.rerank),
      onchange: () => change({ rerank: this.rerank.checked ? "yes" : "", page: 1 }),
    });
    this.rerankBox = h("label", {
      class: "switch", for: "rerank", title: "Rank the first hits again, by a slower model",
    }, this.rerank, " Rerank");
    const judging = h("input", { type: "checkbox", id: "judging", onchange: () => this.actions.judge(judging) });
    this.more = h("button", {
      type: "button", class: "more", "aria-controls": "options",
      onclick: () => this.showOptions(this.more.getAttribute("aria-expanded") !== "true"),
    }, "Options");
    const settings = h("div", { class: "settings" }, this.modes, this.more,
      h("div", { class: "options", id: "options" },
        this.weightControl(), h("span", { class: "filter" }, this.filter), this.sort, this.operatorsBox, joinBox,
        this.rerankBox, h("label", { class: "switch", for: "judging" }, judging, " Judge")));
    const onsubmit = (event) => {
      event.preventDefault();
      this.actions.submit();
    };
    this.element = h("form", { class: "ask", role: "search", onsubmit },
      this.box, settings, this.filterError,
      h("button", { type: "submit", hidden: true }, "Search")); // without this button, Enter does nothing
  }

  weightControl() {
    const { change } = this.actions;
    this.weight = h("input", {
      type: "range", min: WEIGHT.low, max: WEIGHT.high, step: "0.05", value: this.state.weight || WEIGHT.default,
      "aria-label": "Share of meaning", oninput: () => change({ weight: this.weight.value }),
    });
    this.weightText = h("output", {}, "auto");
    this.weightAuto = h("button", { type: "button", class: "quiet", onclick: () => change({ weight: "" }) }, "auto");
    const ends = ["words", "meaning"].map((name) => h("span", { class: "dim" }, name));
    this.weightBox = h("span", { class: "weight" }, ends[0], this.weight, ends[1], this.weightText, this.weightAuto);
    return this.weightBox;
  }

  /** Draw the modes, orders and filter that the collection offers. */
  drawChoices() {
    const { modes, fields } = this.details;
    const possible = choices(modes);
    if (!possible.some(([mode]) => mode === this.state.mode)) this.state.mode = "";
    this.modes.replaceChildren(...possible.map((row) => this.modeChoice(row)));
    this.modes.hidden = possible.length < 2;
    if (possible.length && !this.modes.querySelector(":checked")) this.modes.querySelector("input").checked = true;
    const sortable = Object.keys(fields).filter((field) => !fields[field].endsWith("s"));
    const orders = sortable.flatMap((field) => [[field, `${field} ↑`], [`-${field}`, `${field} ↓`]]);
    const option = ([value, label]) => h("option", { value }, label);
    this.sort.replaceChildren(...[["", "best first"], ...orders].map(option));
    this.sort.value = this.state.sort;
    if (this.sort.selectedIndex < 0) this.sort.value = this.state.sort = "";
    this.sort.hidden = !sortable.length;
    this.filter.parentElement.hidden = !Object.keys(fields).length;
    this.drawWeight();
    this.showOptions(Boolean(this.state.filter || this.state.sort || this.state.weight || this.state.syntax
      || this.state.join || this.state.rerank));
  }

  /** Show the options on a narrow screen, where they are hidden at first. */
  showOptions(on) {
    this.more.setAttribute("aria-expanded", String(on));
  }

  modeChoice([mode, label, title]) {
    const checked = mode === this.state.mode;
    const onchange = () => this.actions.change({ mode, page: 1 });
    return h("label", { title },
      h("input", { type: "radio", name: "mode", value: mode, checked, onchange }), h("span", {}, label));
  }

  drawWeight() {
    const { mode, weight } = this.state;
    this.operatorsBox.hidden = mode === "dense" || !this.details.modes.includes("lexical");
    this.rerankBox.hidden = !RERANKS || Boolean(this.state.sort);
    this.weightBox.hidden = mode !== "" || !this.details.modes.includes("hybrid");
    this.weightAuto.hidden = weight === "";
    this.weightText.value = weight === "" ? "auto" : Number(weight).toFixed(2);
  }

  /** Show the state again after it changed outside the form. */
  show() {
    this.box.value = this.state.q;
    this.filter.value = this.state.filter;
    this.operators.checked = this.state.syntax === "operators";
    this.join.checked = Boolean(this.state.join);
    this.rerank.checked = Boolean(this.state.rerank);
    if (this.state.weight) this.weight.value = this.state.weight;
    this.drawChoices();
  }

  /** Show the error of the filter; "" removes it. */
  showFilterError(message) {
    this.filterError.textContent = message;
    this.filterError.hidden = !message;
    if (message) this.filter.setAttribute("aria-invalid", "true");
    else this.filter.removeAttribute("aria-invalid");
  }

  /** Load the completion of the filter on first focus. */
  async complete() {
    if (this.completing) return;
    this.completing = true;
    const { attach } = await import("./filter.js");
    const change = () => this.actions.change({ filter: this.filter.value, page: 1 });
    attach(this.filter, { fields: this.details.fields, values: (field) => this.values(field), change });
  }

  async values(field) {
    this.overview ??= api.overview(this.collection).catch(() => ((this.overview = null), { fields: [] }));
    const { fields } = await this.overview;
    return fields.find(({ name }) => name === field)?.values.map(({ value }) => value) || [];
  }
}
