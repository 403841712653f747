// The results of a search: status, hits, pages, facets; and explanations, documents and judgments on request.

import { count, h, plural } from "./dom.js";
import { ANSWERS, KEEPS_LOG, MODES, Problem, api, explainRequest } from "./api.js";
import * as address from "./address.js";
import { card, legend, passageNodes } from "./hits.js";

export const PAGE_SIZE = 10;
const FACET_TYPES = ["string", "strings", "boolean", "booleans"];
const RANGE_TYPES = ["number", "numbers", "date", "dates"];
const MAX_FACETS = 6; // of values
const MAX_RANGES = 3; // facets of ranges
export const MAX_PAGE = 1_000; // the service returns the first 10,000 hits
const listsAll = ({ query }) => query.trim() === "*"; // documents without scores: no explanation
const DEGRADED = {
  dense: " Answered by words alone: the encoder is overloaded.",
  rerank: " Reranked fewer hits: there was no time for more.",
};
const QUOTED = /"[^"]*[\p{L}\p{N}][^"]*"/u;

export class Results {
  /** `actions`: `turn(page)`, `setFilter(filter)`, `useOperators()` and `focusQuery()`. */
  constructor(state, collection, details, actions) {
    Object.assign(this, { state, collection, details, actions });
    this.result = null;
    this.request = null; // the search request of the hits on the page
    this.explanations = new Map(); // document id → explanation
    this.ranges = null; // facets of ranges, once they are made
    this.judgments = null; // the Judge while judging is on
    this.focusFirst = false; // the next hits get the focus
    this.live = h("p", { role: "status", "aria-live": "polite" });
    this.how = h("div", {});
    this.status = h("div", { class: "status" }, this.live, this.how);
    this.list = h("ol", { class: "hits", "aria-label": "Hits" });
    this.facets = h("aside", { class: "facets", "aria-label": "Narrow down" });
    this.panel = h("section", { class: "judgments", "aria-label": "Judgments", hidden: true });
    this.answer = h("section", { class: "answer", "aria-label": "Answer", hidden: true });
    this.pager = h("nav", { class: "pager", "aria-label": "Pages" });
    this.columns = h("div", { class: "columns" }, this.facets, h("div", {}, this.answer, this.panel, this.list, this.pager));
    const { fields } = details;
    const ofTypes = (types) => Object.keys(fields).filter((field) => types.includes(fields[field]));
    this.facetFields = ofTypes(FACET_TYPES).slice(0, MAX_FACETS);
    this.rangeFields = ofTypes(RANGE_TYPES).slice(0, MAX_RANGES);
    this.hasFacets = this.facetFields.length + this.rangeFields.length > 0;
    this.columns.classList.toggle("plain", !this.hasFacets); // else the page reserves space for facets
  }

  // --- drawing

  /** Draw the hits of a search; `request` is its body. */
  draw(result, request) {
    const logged = result.query_id ? Promise.resolve(result.query_id) : null; // if this search is in the query log
    Object.assign(this, { result, request, logged });
    this.columns.classList.remove("stale");
    this.explanations.clear();
    const focused = this.list.contains(document.activeElement) && document.activeElement.closest(".hit");
    this.list.start = result.hits[0]?.rank || 1;
    this.list.replaceChildren(...result.hits.map((hit) => h("li", {}, this.card(hit))));
    this.drawStatus(result);
    this.drawPager(result);
    this.offerAnswer(result.hits.length > 0 && result.hits[0].rank === 1);
    if (focused) {
      const same = this.article(focused.dataset.id);
      if (same) same.focus();
      else this.actions.focusQuery();
    }
    if (this.focusFirst) this.list.querySelector(".hit")?.focus();
    this.focusFirst = false;
  }

  /** The pages of the relevant hits have numbers once their total is known; less relevant hits follow. */
  drawPager({ more, total }) {
    const { page } = this.state;
    const step = (label, to, attributes) =>
      h("button", { type: "button", ...attributes, onclick: () => this.actions.turn(to) }, label);
    const last = total.relation === "exact" ? Math.min(Math.ceil(total.value / PAGE_SIZE), MAX_PAGE) : 0;
    const numbered = (number) => step(String(number), number, {
      "aria-current": number === page ? "page" : null, "aria-label": `Page ${number}`,
    });
    const numbers = pagesAround(page, last).map((number) => (number ? numbered(number) : h("span", {}, "…")));
    const parts = [
      page > 1 ? step("← Better hits", page - 1, { rel: "prev" }) : h("span", {}),
      h("span", { class: "pages dim" }, numbers.length > 1 ? numbers : `page ${page}`),
      more ? step("More hits →", page + 1, { rel: "next" }) : h("span", {}),
    ];
    this.pager.replaceChildren(...(page > 1 || more ? parts : []));
  }

  drawStatus(result) {
    const { timings_ms: ms, mode, weight, weight_reason: reason, degraded = [] } = result;
    const how = `${MODES[mode].how}${weight === null ? "" : `, ${Math.round(weight * 100)} % meaning`}`;
    const empty = !result.hits.length;
    const onclick = () => this.actions.setFilter("");
    const quoted = mode !== "dense" && !this.request.syntax && QUOTED.test(this.request.query);
    const typos = (result.replacements || []).filter(({ reason }) => reason === "typo");
    const expanded = (result.replacements || []).filter(({ reason }) => reason === "synonym");
    const synonyms = expanded.map(({ word }) => `“${word}”`).join(", ");
    const instead = typos.map(({ word, text }) => `“${text}” instead of “${word}”`).join(", ");
    this.live.replaceChildren(
      this.summary(result),
      instead ? h("span", {}, ` Searched for ${instead}, which no document has.`) : "",
      synonyms ? h("span", {}, ` With synonyms of ${synonyms}.`) : "",
      result.confidence === "low" && !empty ? h("strong", { class: "warn" }, " Nothing close to the query. ") : "",
      empty && this.state.filter ? h("button", { type: "button", onclick }, "Search without the filter") : "",
      quoted ? h("button", { type: "button", onclick: this.actions.useOperators }, "Search for the exact phrase") : "",
      ...degraded.map((part) => h("strong", { class: "warn" }, DEGRADED[part])),
    );
    const parts = `encode ${ms.encode.toFixed(1)}, retrieve ${ms.retrieve.toFixed(1)}, fetch ${ms.fetch.toFixed(1)} ms`;
    this.how.replaceChildren(
      this.relevant = h("span", { class: "dim" }),
      h("span", { class: "dim", title: reason || null }, how),
      h("span", { class: "dim timing", title: parts }, `${ms.total.toFixed(1)} ms · generation ${result.generation}`),
      empty || listsAll(this.request) ? "" : legend(mode !== "dense"),
    );
    this.showTotal(result);
  }

  summary({ hits, more, total }) {
    if (!hits.length) return h("strong", {}, this.state.page > 1 ? "No more hits. " : "Nothing matched. ");
    const relevant = total.relation === "exact" && total.value < hits.at(-1).rank ? `, ${total.value} relevant` : "";
    if (!more && this.state.page === 1) return plural(hits.length, "hit") + relevant;
    return `hits ${hits[0].rank} to ${hits.at(-1).rank}${relevant}`;
  }

  /** Show the number of relevant documents beside the way of ranking, where no reader of the page is interrupted. */
  showTotal({ hits, total: { value, relation } }) {
    const isSaid = !hits.length || value < hits.at(-1).rank; // in the summary
    const kind = listsAll(this.request) ? "documents" : "relevant";
    this.relevant.textContent = relation === "exact" && !isSaid ? `${count(value)} ${kind}` : "";
  }

  card(hit) {
    const onclick = () => this.toggleWhy(hit.id);
    const why = listsAll(this.request) ? null
      : h("button", { type: "button", class: "why-button", "aria-expanded": "false", onclick }, "Why?");
    const grades = h("span", { class: "judging" }, this.judgments?.buttons(hit));
    return card(hit, {
      actions: [grades, why], explanation: this.explanations.get(hit.id),
      onfield: (field, value) => this.narrow(field, value), onopen: () => this.openDocument(hit),
    });
  }

  /** Show the size of the collection and the keys, while there is no query. */
  drawWelcome() {
    this.clear();
    const { documents, passages, encoder } = this.details;
    this.live.replaceChildren(
      h("strong", {}, plural(documents, "document")),
      passages === documents ? "" : ` in ${plural(passages, "passage")}`,
      h("span", { class: "dim" }, `, encoded by ${encoder}. `));
    this.how.replaceChildren(
      h("span", { class: "dim keys" }, h("kbd", {}, "/"), " goes to the query, ", h("kbd", {}, "↓"), " ",
        h("kbd", {}, "↑"), " move through the hits, ", h("kbd", {}, "Enter"), " explains a hit, ",
        h("kbd", {}, "*"), " as the query lists all documents"));
  }

  clear() {
    this.result = this.request = null;
    this.columns.classList.remove("stale");
    this.offerAnswer(false);
    for (const part of [this.list, this.pager, this.facets, this.live, this.how]) part.replaceChildren();
  }

  /** Keep the hits while the user types a filter that matches nothing so far. */
  showNothingYet() {
    this.columns.classList.add("stale");
    this.live.replaceChildren("Nothing matches this filter so far. The hits below are those before it.");
  }

  showError(message, retry) {
    this.how.replaceChildren();
    const again = h("button", { type: "button", onclick: retry }, "Try again");
    this.live.replaceChildren(h("strong", { class: "warn" }, message), " ", again);
  }

  // --- marks, facets and the total, which follow when typing pauses

  /** Mark the meaning in each visible hit, one hit after the other; draw the facets and the numbers of the pages. */
  async decorate(signal) {
    const waiting = [];
    let busy = false;
    const explain = async () => {
      if (busy) return;
      busy = true;
      while (waiting.length && !signal.aborted) await this.mark(waiting.shift(), signal);
      busy = false;
    };
    this.observer?.disconnect();
    this.observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || signal.aborted) continue;
        this.observer.unobserve(target);
        waiting.push(target);
      }
      explain();
    });
    for (const article of this.articles()) this.observer.observe(article);
    if (this.details.originals) this.linkOriginals(signal);
    this.logged ??= this.log(this.request, signal);
    if (this.hasFacets || this.result.total.relation !== "exact") await this.drawCounts(signal);
  }

  /** Link the hits whose files are kept; they are useful without the links, too. */
  async linkOriginals(signal) {
    try {
      await (await import("./originals.js")).linkOriginals(this, signal);
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Problem)) throw error;
    }
  }

  /** Write the search to the query log; return the id that clicks name, or null. */
  async log(request, signal) {
    if (!KEEPS_LOG || listsAll(request)) return null;
    const found = await api.search(this.collection, { ...request, log: true }, signal).catch(() => null);
    return found?.query_id ?? null;
  }

  async recordClick(hit) {
    const query_id = await (this.logged ??= this.log(this.request)); // a quick click comes before the pause ends
    const event = { query_id, document: hit.id, position: hit.rank };
    if (query_id) await api.click(this.collection, event).catch(() => null);
  }

  async mark(article, signal) {
    const hit = this.hit(article.dataset.id);
    const best = hit?.passages[0];
    if (!best || listsAll(this.request) || this.explanations.has(hit.id)) return;
    try {
      const found = await api.explain(this.collection, explainRequest(this.request, hit), signal);
      this.explanations.set(hit.id, found);
      article.querySelector(".passage").replaceChildren(...passageNodes(best, found).flat().filter(Boolean));
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Problem)) throw error; // the hit is useful without marks
    }
  }

  async drawCounts(signal) {
    try {
      const { draw } = await import("./facets.js");
      this.ranges ??= await this.loadRanges(signal);
      const facets = [...this.facetFields, ...Object.values(this.ranges)];
      const disjunctive = [...this.facetFields, ...Object.keys(this.ranges)];
      const request = { ...this.request, k: 1, offset: 0, rerank: null, facets, disjunctive, count: true };
      const found = await api.search(this.collection, request, signal);
      if (signal.aborted) return;
      this.drawPager({ ...this.result, total: found.total });
      this.showTotal({ ...this.result, total: found.total });
      draw(this.facets, found, { state: this.state, setFilter: this.actions.setFilter });
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 0) this.facets.replaceChildren();
    }
  }

  /** Make the facets of ranges, with edges for the values of the whole collection: {field: facet}. */
  async loadRanges(signal) {
    if (!this.rangeFields.length) return {};
    const loading = [import("./ranges.js"), api.overview(this.collection, signal)];
    const [{ rangeFacets }, { fields }] = await Promise.all(loading);
    return rangeFacets(fields, this.rangeFields);
  }

  async narrow(field, value) {
    const { narrowed } = await import("./clauses.js");
    this.actions.setFilter(narrowed(this.state.filter, field, value));
  }

  // --- answer, explanation, document and judging: loaded on first use

  /** Offer an answer to the query, if the service makes answers. */
  offerAnswer(possible) {
    this.answering?.abort();
    this.answer.hidden = !(ANSWERS && possible && !listsAll(this.request));
    const onclick = () => this.showAnswer();
    this.answer.replaceChildren(h("button", { type: "button", onclick }, "Answer from these documents"));
  }

  async showAnswer() {
    const { signal } = (this.answering = new AbortController());
    const { show } = await import("./answer.js");
    show(this.answer, { collection: this.collection, request: this.request, signal });
  }

  articles() {
    return [...this.list.querySelectorAll(".hit")];
  }

  article(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  hit(id) {
    return this.result?.hits.find((hit) => hit.id === id);
  }

  /** Open the explanation of a hit, or close it. */
  async toggleWhy(id) {
    const article = this.article(id);
    if (!article) return;
    const button = article.querySelector(".why-button");
    if (!button) return;
    const isOpen = () => button.getAttribute("aria-expanded") === "true";
    const open = isOpen();
    button.setAttribute("aria-expanded", String(!open));
    this.state.why = open ? "" : id;
    address.write(this.state);
    if (open) return article.querySelector(".why")?.remove();
    const { collection, result, request } = this;
    const given = { collection, result, request, hit: this.hit(id), explanation: this.explanations.get(id) };
    const { panel } = await import("./why.js");
    if (isOpen() && !article.querySelector(".why")) article.append(panel(given)); // the user may have closed it
  }

  async openDocument(hit) {
    this.recordClick(hit);
    const { show } = await import("./document.js");
    const explain = () => listsAll(this.request) ? null
      : api.explain(this.collection, explainRequest(this.request, hit)).catch(() => null);
    show(this.collection, hit, this.explanations.get(hit.id) ?? explain());
  }

  /** Switch judging on or off, as the checkbox says. */
  async judge(checkbox) {
    this.panel.hidden = !checkbox.checked;
    const { Judge } = await import("./judge.js");
    const on = checkbox.checked; // the user may have switched it again
    if (on === Boolean(this.judgments)) return;
    const given = { modes: this.details.modes, query: () => this.request?.query.trim() };
    this.judgments = on ? new Judge(this.panel, this.collection, given) : null;
    await this.judgments?.load();
    this.drawGrades(); // once, since a click on a button that is drawn again is lost
    await this.judgments?.measure();
  }

  /** Draw the grades into the existing cards, so that open explanations stay open. */
  drawGrades() {
    for (const article of this.articles()) {
      const grades = this.judgments?.buttons(this.hit(article.dataset.id));
      article.querySelector(".judging").replaceChildren(...(grades ? [grades] : []));
    }
  }
}

/** The numbers of the first and last page and of those near `page`; 0 for a gap.  Empty for a page beyond the last. */
function pagesAround(page, last) {
  if (page > last) return [];
  const near = [page - 2, page - 1, page, page + 1, page + 2].filter((number) => number > 1 && number < last);
  const numbers = [...new Set([1, ...near, last])];
  return numbers.flatMap((number, i) => (i && number > numbers[i - 1] + 1 ? [0, number] : [number]));
}
