// The search view: box, settings, hits.  Hits come as fast as they can; marks and facets follow when typing pauses.

import { h, count, debounced, plural, shown } from "./dom.js";
import { api } from "./api.js";
import * as address from "./address.js";
import { card, legend, passageNodes } from "./hits.js";

const PAGE = 10;
const KEYSTROKE_MS = 30;
const PAUSE_MS = 220;
const COUNTABLE = ["string", "strings", "boolean"];
const MODES = [
  ["", "Both", "Meaning and words together, weighted for this query"],
  ["dense", "Meaning", "Nearest by the vectors of the encoder"],
  ["lexical", "Words", "Best by the words themselves (BM25)"],
];

export async function open(main, { collection }) {
  const view = new SearchView(main, collection);
  view.draw();
  view.details = await api.collection(collection);
  view.drawDetails();
  view.search();
}

class SearchView {
  constructor(main, collection) {
    this.main = main;
    this.collection = collection;
    this.state = { ...address.read(), collection };
    this.running = null; // AbortController of the search under way
    this.result = null;
    this.explanations = new Map(); // document id → explanation
    this.typed = debounced(() => this.search(), KEYSTROKE_MS);
    this.typedFilter = debounced(() => this.search(), PAUSE_MS, { eager: false }); // half a filter is only an error
  }

  // --- drawing

  draw() {
    const { state } = this;
    this.box = h("input", {
      id: "q", type: "search", value: state.q, placeholder: "Ask in your own words…", autocomplete: "off", spellcheck: "false",
      "aria-label": "Query", "aria-keyshortcuts": "/", oninput: () => this.change({ q: this.box.value, page: 1, why: "" }),
    });
    this.filter = h("input", {
      id: "filter", value: state.filter, autocomplete: "off", spellcheck: "false", placeholder: 'filter, such as year >= 2020',
      "aria-label": "Filter", "aria-describedby": "filter-error",
      oninput: () => this.change({ filter: this.filter.value, page: 1 }, { slowly: true }), onfocus: () => this.complete(),
    });
    this.filterError = h("p", { id: "filter-error", class: "error", role: "alert", hidden: true });
    this.modes = h("div", { class: "segments", role: "radiogroup", "aria-label": "What to match" });
    this.sort = h("select", { "aria-label": "Order", onchange: () => this.change({ sort: this.sort.value, page: 1 }) });
    this.judging = h("input", { type: "checkbox", id: "judging", onchange: () => this.judge(this.judging.checked) });
    this.status = h("p", { class: "status", role: "status", "aria-live": "polite" });
    this.list = h("ol", { class: "hits", "aria-label": "Hits" });
    this.facets = h("aside", { class: "facets", "aria-label": "Narrow down" });
    this.panel = h("section", { class: "judgments", "aria-label": "Judgments", hidden: true });
    this.main.append(
      h("form", { class: "ask", role: "search", onsubmit: (event) => this.submit(event) },
        this.box,
        h("div", { class: "settings" }, this.modes, this.weightControl(), h("span", { class: "filter" }, this.filter), this.sort,
          h("label", { class: "switch", for: "judging" }, this.judging, " Judge")),
        this.filterError),
      this.status,
      (this.columns = h("div", { class: "columns" }, this.facets, h("div", {}, this.panel, this.list, (this.pager = h("nav", { class: "pager", "aria-label": "Pages" }))))),
    );
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("popstate", () => this.reopen());
    if (matchMedia("(pointer: fine)").matches) this.box.focus();
  }

  weightControl() {
    this.weight = h("input", {
      type: "range", min: "0", max: "1", step: "0.05", value: this.state.weight || "0.7", "aria-label": "Share of meaning",
      oninput: () => this.change({ weight: this.weight.value }),
    });
    this.weightText = h("output", {}, "auto");
    this.weightAuto = h("button", { type: "button", class: "quiet", onclick: () => this.change({ weight: "" }) }, "auto");
    return (this.weightBox = h("span", { class: "weight" }, h("span", { class: "dim" }, "words"), this.weight, h("span", { class: "dim" }, "meaning"), this.weightText, this.weightAuto));
  }

  /** What depends on the collection: modes, fields. */
  drawDetails() {
    const { modes, fields } = this.details;
    const possible = MODES.filter(([mode]) => modes.includes(mode || "hybrid"));
    this.modes.replaceChildren(...possible.map(([mode, label, title]) =>
      h("label", { title }, h("input", { type: "radio", name: "mode", value: mode, checked: mode === this.state.mode, onchange: () => this.change({ mode, page: 1 }) }), h("span", {}, label))));
    this.modes.hidden = possible.length < 2;
    if (possible.length && !this.modes.querySelector(":checked")) this.modes.querySelector("input").checked = true;
    const sortable = Object.entries(fields).filter(([, kind]) => kind !== "strings").map(([field]) => field);
    this.sort.replaceChildren(h("option", { value: "" }, "best first"), ...sortable.flatMap((field) => [h("option", { value: field }, `${field} ↑`), h("option", { value: `-${field}` }, `${field} ↓`)]));
    this.sort.value = this.state.sort;
    this.sort.hidden = !sortable.length;
    this.filter.parentElement.hidden = !Object.keys(fields).length;
    this.countable = Object.entries(fields).filter(([, kind]) => COUNTABLE.includes(kind)).slice(0, 6).map(([field]) => field);
    this.columns.classList.toggle("plain", !this.countable.length); // else there is room for facets from the start
    this.drawSettings();
  }

  drawSettings() {
    const { mode, weight } = this.state;
    this.weightBox.hidden = mode !== "" || !this.details?.modes.includes("hybrid");
    this.weightAuto.hidden = weight === "";
    this.weightText.value = weight === "" ? "auto" : Number(weight).toFixed(2);
  }

  drawHits(result) {
    const hits = result.hits.map((hit) => h("li", {}, this.card(hit)));
    this.list.start = result.hits[0]?.rank || 1;
    this.list.replaceChildren(...hits);
    this.drawStatus(result);
    const { page } = this.state;
    const more = result.hits.length === PAGE;
    const step = (label, to, rel) => h("button", { type: "button", rel, onclick: () => this.change({ page: to, why: "" }, { step: true }) }, label);
    this.pager.replaceChildren(...(page > 1 || more ? [page > 1 ? step("← Better hits", page - 1, "prev") : h("span", {}), h("span", { class: "dim" }, `page ${page}`), more ? step("More hits →", page + 1, "next") : h("span", {})] : []));
  }

  drawStatus(result) {
    const { timings_ms: ms, mode, weight, weight_reason: reason, degraded = [] } = result;
    const how = { dense: "by meaning", lexical: "by words", hybrid: `by both${weight === null ? "" : `, ${Math.round(weight * 100)} % meaning`}` }[mode];
    const nothing = !result.hits.length;
    this.status.replaceChildren(
      nothing ? h("strong", {}, "Nothing matched. ") : "",
      nothing && this.state.filter ? h("button", { type: "button", onclick: () => this.setFilter("") }, "Search without the filter") : "",
      h("span", { class: "dim", title: reason || null }, `${how} · `),
      h("span", { class: "dim", title: `encode ${ms.encode.toFixed(1)}, retrieve ${ms.retrieve.toFixed(1)}, fetch ${ms.fetch.toFixed(1)} ms` }, `${ms.total.toFixed(1)} ms · generation ${result.generation}`),
      degraded.length ? h("strong", { class: "warn" }, " Answered by words alone: the encoder is overloaded.") : "",
      nothing ? "" : legend(mode !== "dense"),
    );
  }

  card(hit) {
    const why = h("button", { type: "button", class: "why-button", "aria-expanded": "false", onclick: () => this.why(hit.id) }, "Why?");
    const actions = [this.judge_ ? this.judge_.buttons(hit) : null, why];
    return card(hit, { actions, onfield: (field, value) => this.narrow(field, value), onopen: () => this.openDocument(hit), explanation: this.explanations.get(hit.id) });
  }

  /** A welcome that says what is here, and how to ask. */
  drawWelcome() {
    this.list.replaceChildren();
    this.pager.replaceChildren();
    this.facets.replaceChildren();
    const { documents, passages, encoder } = this.details;
    this.status.replaceChildren(
      h("span", {}, h("strong", {}, plural(documents, "document")), passages === documents ? "" : ` in ${plural(passages, "passage")}`, h("span", { class: "dim" }, `, encoded by ${encoder}. `)),
      h("span", { class: "dim keys" }, h("kbd", {}, "/"), " to ask, ", h("kbd", {}, "↓"), " ", h("kbd", {}, "↑"), " to walk through the hits, ", h("kbd", {}, "Enter"), " to see why one matched"),
    );
  }

  drawFacets(facets) {
    const blocks = Object.entries(facets).filter(([field, values]) => values.length > 1 || (values.length && this.state.filter.includes(clause(field, values[0].value)))).map(([field, values]) => this.facet(field, values));
    this.facets.replaceChildren(...(blocks.length ? [h("details", { open: innerWidth > 720 }, h("summary", {}, "Narrow down"), blocks)] : []));
  }

  facet(field, values) {
    const most = values[0].count;
    const row = ({ value, count: number }) => {
      const on = this.state.filter.includes(clause(field, value));
      return h("li", {}, h("button", { type: "button", "aria-pressed": String(on), onclick: () => this.narrow(field, value), style: { "--share": `${(100 * number) / most}%` } },
        h("span", {}, shown(value)), h("span", { class: "dim" }, count(number))));
    };
    return h("section", {}, h("h2", {}, field), h("ul", {}, values.slice(0, 8).map(row)));
  }

  // --- searching

  body() {
    const { q, mode, weight, filter, sort, page } = this.state;
    const body = { query: q, k: PAGE, offset: (page - 1) * PAGE, filter, sort };
    if (mode) body.mode = mode;
    else if (weight && this.details.modes.includes("hybrid")) Object.assign(body, { mode: "hybrid", weight: Number(weight) });
    return body;
  }

  change(changes, { step = false, slowly = false } = {}) {
    Object.assign(this.state, changes);
    address.write(this.state, { step });
    this.drawSettings();
    if (this.details) (slowly ? this.typedFilter : this.typed)();
  }

  async search({ retried = false } = {}) {
    this.running?.abort();
    clearTimeout(this.pause);
    clearTimeout(this.retry);
    if (!this.state.q.trim()) return this.drawWelcome();
    const running = (this.running = new AbortController());
    this.main.setAttribute("aria-busy", "true");
    try {
      const result = await api.search(this.collection, this.body(), running.signal);
      this.result = result;
      this.explanations.clear();
      this.filterError.hidden = true;
      this.filter.removeAttribute("aria-invalid");
      this.drawHits(result);
      this.pause = setTimeout(() => this.decorate(running), PAUSE_MS);
      if (this.state.why) this.why(this.state.why);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error, retried);
    } finally {
      if (this.running === running) this.main.removeAttribute("aria-busy");
    }
  }

  fail(error, retried) {
    if (error.status === 401) return;
    if (error.status === 400 && this.state.filter) {
      this.filterError.textContent = error.message;
      this.filterError.hidden = false;
      this.filter.setAttribute("aria-invalid", "true");
      return;
    }
    this.status.replaceChildren(h("strong", { class: "warn" }, error.message), " ", h("button", { type: "button", onclick: () => this.search() }, "Try again"));
    if (error.status === 0 || error.status === 429 || error.status === 503) this.retry = setTimeout(() => this.search({ retried: true }), retried ? 2000 : 500);
    else if (!("status" in error)) throw error;
  }

  /** When typing pauses: facets, and for the hits in sight which words carry the meaning, one hit after the other. */
  async decorate(running) {
    const waiting = [];
    let busy = false;
    const explain = async () => {
      if (busy) return;
      busy = true;
      while (waiting.length && !running.signal.aborted) await this.mark(waiting.shift(), running.signal);
      busy = false;
    };
    this.sight?.disconnect();
    this.sight = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || running.signal.aborted) continue;
        this.sight.unobserve(target);
        waiting.push(target);
      }
      explain();
    });
    for (const article of this.list.querySelectorAll(".hit")) this.sight.observe(article);
    if (!this.countable.length) return;
    try {
      const { facets = {} } = await api.search(this.collection, { ...this.body(), k: 1, offset: 0, facets: this.countable }, running.signal);
      if (running === this.running) this.drawFacets(facets);
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 0) this.facets.replaceChildren();
    }
  }

  async mark(article, signal) {
    const hit = this.result.hits.find((each) => each.id === article.dataset.id);
    const best = hit?.passages[0];
    if (!best || this.explanations.has(hit.id)) return;
    try {
      const found = await api.explain(this.collection, asked(this.body(), hit), signal);
      this.explanations.set(hit.id, found);
      article.querySelector(".passage").replaceChildren(...passageNodes(best, found).flat().filter(Boolean));
    } catch (error) {
      if (error.name !== "AbortError" && !("status" in error)) throw error; // a hit without marks is still a hit
    }
  }

  reopen() {
    this.state = { ...address.read(), collection: this.collection };
    this.box.value = this.state.q;
    this.filter.value = this.state.filter;
    if (this.state.weight) this.weight.value = this.state.weight;
    this.drawDetails();
    this.search();
  }

  submit(event) {
    event.preventDefault();
    address.write(this.state, { step: true });
    this.search();
  }

  // --- narrowing

  setFilter(filter) {
    this.filter.value = filter;
    this.change({ filter, page: 1, why: "" }, { step: true });
  }

  narrow(field, value) {
    const added = clause(field, value);
    const clauses = this.state.filter.split(/ AND /).map((each) => each.trim()).filter(Boolean);
    const left = clauses.filter((each) => each !== added);
    this.setFilter((left.length < clauses.length ? left : [...clauses, added]).join(" AND "));
  }

  async complete() {
    if (this.completing) return;
    this.completing = true;
    const { attach } = await import("./filter.js");
    attach(this.filter, { fields: this.details.fields, values: (field) => this.values(field), change: () => this.change({ filter: this.filter.value, page: 1 }) });
  }

  async values(field) {
    this.overview ??= api.overview(this.collection).catch(() => ((this.overview = null), { fields: [] }));
    const { fields } = await this.overview;
    return fields.find((each) => each.name === field)?.values.map((each) => each.value) || [];
  }

  // --- why, document, judging: loaded when asked for

  find(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  async why(id) {
    const article = this.find(id);
    if (!article) return;
    const open = article.querySelector(".why");
    const button = article.querySelector(".why-button");
    button.setAttribute("aria-expanded", String(!open));
    this.state.why = open ? "" : id;
    address.write(this.state);
    if (open) return open.remove();
    const hit = this.result.hits.find((each) => each.id === id);
    const { panel } = await import("./why.js");
    article.append(panel({ collection: this.collection, hit, result: this.result, body: this.body(), explanation: this.explanations.get(id) }));
  }

  async openDocument(hit) {
    const { show } = await import("./document.js");
    const explained = this.explanations.get(hit.id) ?? api.explain(this.collection, asked(this.body(), hit)).catch(() => null);
    show(this.collection, hit, explained);
  }

  async judge(on) {
    if (on) {
      const { Judge } = await import("./judge.js");
      this.judge_ = new Judge(this.panel, this.collection, () => this.body());
      await this.judge_.load();
    } else this.judge_ = null;
    this.panel.hidden = !on;
    if (this.result && this.state.q.trim()) {
      this.drawHits(this.result);
      this.decorate(this.running);
    }
  }

  // --- keyboard

  key(event) {
    const typing = event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "/" && !typing) return this.take(event, () => this.box.select() ?? this.box.focus());
    if (event.key === "Escape" && event.target !== this.box) return this.take(event, () => this.box.focus());
    const hits = [...this.list.querySelectorAll(".hit")];
    const at = hits.indexOf(event.target.closest?.(".hit"));
    const walking = event.target === this.box || event.target.matches(".hit") || event.target === document.body;
    if (walking && event.key === "ArrowDown" && hits[at + 1]) return this.take(event, () => hits[at + 1].focus());
    if (walking && event.key === "ArrowUp" && at >= 0) return this.take(event, () => (hits[at - 1] || this.box).focus());
    if (event.key === "Enter" && event.target.matches(".hit")) return this.take(event, () => this.why(event.target.dataset.id));
    if (/^[0-3]$/.test(event.key) && event.target.matches(".hit") && this.judge_) return this.take(event, () => event.target.querySelector(`[data-grade="${event.key}"]`).click());
  }

  take(event, act) {
    event.preventDefault();
    act();
  }
}

/** The body of a request for the reasons of a hit. */
export const asked = ({ query, mode, weight }, hit) => ({
  query, id: hit.id, ...(mode ? { mode } : {}), ...(weight === undefined ? {} : { weight }), ...(hit.passages.length ? { start: hit.passages[0].start } : {}),
});

/** A condition of the filter language. */
export function clause(field, value) {
  const name = /^[A-Za-z_][\w.-]*$/.test(field) && !/^(and|or|not|in|exists|true|false)$/i.test(field) ? field : JSON.stringify(field);
  return `${name} = ${typeof value === "string" ? JSON.stringify(value) : value}`;
}
