// The search view: box, settings, hits.  Hits come as fast as they can; marks and facets follow when typing pauses.

import { h, debounced, entitle, plural } from "./dom.js";
import { Problem, Retry, api } from "./api.js";
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

export async function open(main, { collection, signal }) {
  const details = await api.collection(collection, signal);
  const view = new SearchView(main, collection, details);
  view.listen(signal);
  view.search();
}

class SearchView {
  constructor(main, collection, details) {
    Object.assign(this, { main, collection, details });
    this.state = { ...address.read(), collection };
    this.running = null; // AbortController of the search under way
    this.retry = new Retry();
    this.result = null;
    this.answered = null; // the body of the search that the hits shown answer
    this.explanations = new Map(); // document id → explanation
    this.typed = debounced(() => this.search(), KEYSTROKE_MS);
    this.typedFilter = debounced(() => this.search(), PAUSE_MS, { eager: false }); // half a filter is only an error
    this.draw();
    this.drawDetails();
    if (matchMedia("(pointer: fine)").matches) this.box.focus();
  }

  /** To the whole page, until another view takes its place. */
  listen(signal) {
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    addEventListener("popstate", () => this.reopen(), { signal });
    signal.addEventListener("abort", () => (this.running?.abort(), this.retry.cancel()));
  }

  // --- drawing

  draw() {
    const { state } = this;
    this.box = h("input", {
      id: "q", type: "search", dir: "auto", value: state.q, placeholder: "Ask in your own words…",
      autocomplete: "off", spellcheck: "false", "aria-label": "Query", "aria-keyshortcuts": "/",
      oninput: () => this.change({ q: this.box.value, page: 1, why: "" }),
    });
    this.filter = h("input", {
      id: "filter", dir: "auto", value: state.filter, autocomplete: "off", spellcheck: "false",
      placeholder: "filter, such as year >= 2020", "aria-label": "Filter", "aria-describedby": "filter-error",
      oninput: () => this.change({ filter: this.filter.value, page: 1 }, { slowly: true }),
      onfocus: () => this.complete(),
    });
    this.filterError = h("p", { id: "filter-error", class: "error", role: "alert", hidden: true });
    this.modes = h("div", { class: "segments", role: "radiogroup", "aria-label": "What to match" });
    const reorder = () => this.change({ sort: this.sort.value, page: 1 });
    this.sort = h("select", { "aria-label": "Order", onchange: reorder });
    this.judging = h("input", { type: "checkbox", id: "judging", onchange: () => this.judge() });
    this.live = h("p", { role: "status", "aria-live": "polite" });
    this.how = h("div", {});
    this.list = h("ol", { class: "hits", "aria-label": "Hits" });
    this.facets = h("aside", { class: "facets", "aria-label": "Narrow down" });
    this.panel = h("section", { class: "judgments", "aria-label": "Judgments", hidden: true });
    this.pager = h("nav", { class: "pager", "aria-label": "Pages" });
    this.columns = h("div", { class: "columns" }, this.facets, h("div", {}, this.panel, this.list, this.pager));
    const settings = h("div", { class: "settings" },
      this.modes, this.weightControl(), h("span", { class: "filter" }, this.filter), this.sort,
      h("label", { class: "switch", for: "judging" }, this.judging, " Judge"));
    const submit = (event) => this.submit(event);
    this.main.replaceChildren(
      h("h1", { class: "unseen" }, "Search"),
      h("form", { class: "ask", role: "search", onsubmit: submit },
        this.box, settings, this.filterError,
        h("button", { type: "submit", hidden: true }, "Search")), // without one, Enter does nothing
      h("div", { class: "status" }, this.live, this.how),
      this.columns);
  }

  weightControl() {
    this.weight = h("input", {
      type: "range", min: "0", max: "1", step: "0.05", value: this.state.weight || "0.7",
      "aria-label": "Share of meaning", oninput: () => this.change({ weight: this.weight.value }),
    });
    this.weightText = h("output", {}, "auto");
    const auto = () => this.change({ weight: "" });
    this.weightAuto = h("button", { type: "button", class: "quiet", onclick: auto }, "auto");
    const ends = ["words", "meaning"].map((name) => h("span", { class: "dim" }, name));
    this.weightBox = h("span", { class: "weight" }, ends[0], this.weight, ends[1], this.weightText, this.weightAuto);
    return this.weightBox;
  }

  /** What depends on the collection: modes, fields. */
  drawDetails() {
    const { modes, fields } = this.details;
    const possible = MODES.filter(([mode]) => modes.includes(mode || "hybrid"));
    if (!possible.some(([mode]) => mode === this.state.mode)) this.state.mode = "";
    this.modes.replaceChildren(...possible.map((each) => this.modeChoice(each)));
    this.modes.hidden = possible.length < 2;
    if (possible.length && !this.modes.querySelector(":checked")) this.modes.querySelector("input").checked = true;
    const sortable = Object.keys(fields).filter((field) => fields[field] !== "strings");
    const orders = sortable.flatMap((field) => [[field, `${field} ↑`], [`-${field}`, `${field} ↓`]]);
    const option = ([value, label]) => h("option", { value }, label);
    this.sort.replaceChildren(...[["", "best first"], ...orders].map(option));
    this.sort.value = this.state.sort;
    if (this.sort.selectedIndex < 0) this.sort.value = this.state.sort = "";
    this.sort.hidden = !sortable.length;
    this.filter.parentElement.hidden = !Object.keys(fields).length;
    this.countable = Object.keys(fields).filter((field) => COUNTABLE.includes(fields[field])).slice(0, 6);
    this.columns.classList.toggle("plain", !this.countable.length); // else there is room for facets from the start
    this.drawSettings();
  }

  modeChoice([mode, label, title]) {
    const checked = mode === this.state.mode;
    const onchange = () => this.change({ mode, page: 1 });
    return h("label", { title },
      h("input", { type: "radio", name: "mode", value: mode, checked, onchange }), h("span", {}, label));
  }

  drawSettings() {
    const { mode, weight } = this.state;
    this.weightBox.hidden = mode !== "" || !this.details.modes.includes("hybrid");
    this.weightAuto.hidden = weight === "";
    this.weightText.value = weight === "" ? "auto" : Number(weight).toFixed(2);
  }

  drawHits(result) {
    const focused = this.list.contains(document.activeElement) && document.activeElement.closest(".hit");
    this.list.start = result.hits[0]?.rank || 1;
    this.list.replaceChildren(...result.hits.map((hit) => h("li", {}, this.card(hit))));
    this.drawStatus(result);
    this.drawPager(result);
    if (focused) (this.find(focused.dataset.id) ?? this.box).focus();
    if (this.turned) this.list.querySelector(".hit")?.focus();
    this.turned = false;
  }

  drawPager({ more }) {
    const { page } = this.state;
    const step = (label, to, rel) => h("button", { type: "button", rel, onclick: () => this.turn(to) }, label);
    const parts = [
      page > 1 ? step("← Better hits", page - 1, "prev") : h("span", {}),
      h("span", { class: "dim" }, `page ${page}`),
      more ? step("More hits →", page + 1, "next") : h("span", {}),
    ];
    this.pager.replaceChildren(...(page > 1 || more ? parts : []));
  }

  drawStatus(result) {
    const { timings_ms: ms, mode, weight, weight_reason: reason, degraded = [] } = result;
    const both = `by both${weight === null ? "" : `, ${Math.round(weight * 100)} % meaning`}`;
    const how = { dense: "by meaning", lexical: "by words", hybrid: both }[mode];
    const nothing = !result.hits.length;
    const widen = () => h("button", { type: "button", onclick: () => this.setFilter("") }, "Search without the filter");
    this.live.replaceChildren(
      this.found(result),
      nothing && this.state.filter ? widen() : "",
      degraded.length ? h("strong", { class: "warn" }, " Answered by words alone: the encoder is overloaded.") : "",
    );
    const parts = `encode ${ms.encode.toFixed(1)}, retrieve ${ms.retrieve.toFixed(1)}, fetch ${ms.fetch.toFixed(1)} ms`;
    this.how.replaceChildren(
      h("span", { class: "dim", title: reason || null }, `${how} · `),
      h("span", { class: "dim", title: parts }, `${ms.total.toFixed(1)} ms · generation ${result.generation}`),
      nothing ? "" : legend(mode !== "dense"),
    );
  }

  /** What was found, in a few words. */
  found({ hits, more }) {
    if (!hits.length) return h("strong", {}, this.state.page > 1 ? "No more hits. " : "Nothing matched. ");
    if (!more && this.state.page === 1) return plural(hits.length, "hit");
    return `hits ${hits[0].rank} to ${hits.at(-1).rank}`;
  }

  card(hit) {
    const onclick = () => this.why(hit.id);
    const why = h("button", { type: "button", class: "why-button", "aria-expanded": "false", onclick }, "Why?");
    const grades = h("span", { class: "judging" }, this.judge_?.buttons(hit));
    return card(hit, {
      actions: [grades, why], explanation: this.explanations.get(hit.id),
      onfield: (field, value) => this.narrow(field, value), onopen: () => this.openDocument(hit),
    });
  }

  /** A welcome that says what is here, and how to ask. */
  drawWelcome() {
    this.clear();
    this.blame("");
    const { documents, passages, encoder } = this.details;
    this.live.replaceChildren(
      h("strong", {}, plural(documents, "document")),
      passages === documents ? "" : ` in ${plural(passages, "passage")}`,
      h("span", { class: "dim" }, `, encoded by ${encoder}. `));
    this.how.replaceChildren(
      h("span", { class: "dim keys" }, h("kbd", {}, "/"), " to ask, ", h("kbd", {}, "↓"), " ", h("kbd", {}, "↑"),
        " to walk through the hits, ", h("kbd", {}, "Enter"), " to see why one matched"));
  }

  /** No hits, and nothing said of any. */
  clear() {
    this.result = this.answered = null;
    for (const part of [this.list, this.pager, this.facets, this.live, this.how]) part.replaceChildren();
  }

  /** Say what is wrong with the filter, or that nothing is. */
  blame(message) {
    this.filterError.textContent = message;
    this.filterError.hidden = !message;
    if (message) this.filter.setAttribute("aria-invalid", "true");
    else this.filter.removeAttribute("aria-invalid");
  }

  // --- searching

  body() {
    const { q, mode, weight, filter, sort, page } = this.state;
    const body = { query: q, k: PAGE, offset: (page - 1) * PAGE, filter, sort };
    if (mode) return { ...body, mode };
    const weighted = weight && this.details.modes.includes("hybrid");
    return weighted ? { ...body, mode: "hybrid", weight: Number(weight) } : body;
  }

  change(changes, { step = false, slowly = false, turned = false } = {}) {
    Object.assign(this.state, changes);
    this.turned = turned; // then the first hit takes the focus
    if (step) address.write(this.state, { step });
    else address.putSoon(address.query(this.state));
    this.drawSettings();
    (slowly ? this.typedFilter : this.typed)();
  }

  turn(page) {
    this.change({ page, why: "" }, { step: true, turned: true });
  }

  async search() {
    this.running?.abort();
    clearTimeout(this.pause);
    this.retry.cancel();
    entitle(this.state.q, "Search", this.collection);
    const running = (this.running = new AbortController());
    if (!this.state.q.trim()) return this.drawWelcome();
    this.main.setAttribute("aria-busy", "true");
    try {
      await this.show(running);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    } finally {
      if (this.running === running) this.main.removeAttribute("aria-busy");
    }
  }

  async show(running) {
    const body = this.body();
    const result = await api.search(this.collection, { ...body, k: PAGE + 1 }, running.signal); // is there one more?
    if (running.signal.aborted) return;
    this.result = { ...result, hits: result.hits.slice(0, PAGE), more: result.hits.length > PAGE };
    this.answered = body;
    this.retry.done();
    this.explanations.clear();
    this.blame("");
    this.drawHits(this.result);
    this.pause = setTimeout(() => this.decorate(running), PAUSE_MS);
    if (this.state.why) this.why(this.state.why);
  }

  fail(error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) return;
    const passing = this.retry.after(error, () => this.search());
    if (!passing && this.answered?.query !== this.state.q) this.clear(); // hits of another query
    if (error.code === "bad_filter" && this.state.filter) return this.blame(error.message);
    this.how.replaceChildren();
    const again = h("button", { type: "button", onclick: () => this.search() }, "Try again");
    this.live.replaceChildren(h("strong", { class: "warn" }, error.message), " ", again);
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
    if (this.countable.length) await this.drawFacets(running.signal);
  }

  async drawFacets(signal) {
    try {
      const { draw } = await import("./facets.js");
      const body = { ...this.answered, k: 1, offset: 0, facets: this.countable };
      const { facets = {} } = await api.search(this.collection, body, signal);
      if (signal.aborted) return;
      draw(this.facets, facets, { filter: this.state.filter, narrow: (field, value) => this.narrow(field, value) });
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 0) this.facets.replaceChildren();
    }
  }

  async mark(article, signal) {
    const hit = this.hit(article.dataset.id);
    const best = hit?.passages[0];
    if (!best || this.explanations.has(hit.id)) return;
    try {
      const found = await api.explain(this.collection, asked(this.answered, hit), signal);
      this.explanations.set(hit.id, found);
      article.querySelector(".passage").replaceChildren(...passageNodes(best, found).flat().filter(Boolean));
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Problem)) throw error; // a hit without marks is still a hit
    }
  }

  reopen() {
    if (address.query(this.state) === location.search) return; // only the place on the page changed
    address.forget();
    this.state = { ...address.read(), collection: this.collection };
    this.box.value = this.state.q;
    this.filter.value = this.state.filter;
    if (this.state.weight) this.weight.value = this.state.weight;
    this.drawDetails();
    this.search();
  }

  submit(event) {
    event.preventDefault();
    address.finish(this.state);
    this.typed();
  }

  // --- narrowing

  setFilter(filter) {
    this.filter.value = filter;
    this.change({ filter, page: 1, why: "" }, { step: true });
  }

  async narrow(field, value) {
    const { clause, toggled } = await import("./clauses.js");
    this.setFilter(toggled(this.state.filter, clause(field, value)));
  }

  async complete() {
    if (this.completing) return;
    this.completing = true;
    const { attach } = await import("./filter.js");
    const change = () => this.change({ filter: this.filter.value, page: 1 });
    attach(this.filter, { fields: this.details.fields, values: (field) => this.values(field), change });
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

  hit(id) {
    return this.result?.hits.find((each) => each.id === id);
  }

  async why(id) {
    const article = this.find(id);
    if (!article) return;
    const button = article.querySelector(".why-button");
    const isOpen = () => button.getAttribute("aria-expanded") === "true";
    const open = isOpen();
    button.setAttribute("aria-expanded", String(!open));
    this.state.why = open ? "" : id;
    address.write(this.state);
    if (open) return article.querySelector(".why")?.remove();
    const { collection, result, answered: body } = this;
    const given = { collection, result, body, hit: this.hit(id), explanation: this.explanations.get(id) };
    const { panel } = await import("./why.js");
    if (isOpen() && !article.querySelector(".why")) article.append(panel(given)); // it may be closed again by now
  }

  async openDocument(hit) {
    const { show } = await import("./document.js");
    const explain = () => api.explain(this.collection, asked(this.answered, hit)).catch(() => null);
    show(this.collection, hit, this.explanations.get(hit.id) ?? explain());
  }

  async judge() {
    this.panel.hidden = !this.judging.checked;
    const { Judge } = await import("./judge.js");
    const on = this.judging.checked; // it may have been switched again
    if (on === Boolean(this.judge_)) return;
    const given = { modes: this.details.modes, query: () => this.answered?.query.trim() };
    this.judge_ = on ? new Judge(this.panel, this.collection, given) : null;
    this.drawGrades();
    await this.judge_?.load();
    this.drawGrades();
  }

  /** Into the cards that are there, so that what is open in them stays open. */
  drawGrades() {
    for (const article of this.list.querySelectorAll(".hit")) {
      const grades = this.judge_?.buttons(this.hit(article.dataset.id));
      article.querySelector(".judging").replaceChildren(...(grades ? [grades] : []));
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
    const above = at ? hits[at - 1] : this.box;
    if (walking && event.key === "ArrowUp" && above) return this.take(event, () => above.focus());
    if (!event.target.matches(".hit")) return;
    if (event.key === "Enter") return this.take(event, () => this.why(event.target.dataset.id));
    if (/^[0-3]$/.test(event.key) && this.judge_) {
      return this.take(event, () => event.target.querySelector(`[data-grade="${event.key}"]`).click());
    }
  }

  take(event, act) {
    event.preventDefault();
    act();
  }
}

/** The body of a request for the reasons of a hit. */
export const asked = ({ query, mode, weight }, hit) => ({
  query, id: hit.id, ...(mode ? { mode } : {}), ...(weight === undefined ? {} : { weight }),
  ...(hit.passages.length ? { start: hit.passages[0].start } : {}),
});
