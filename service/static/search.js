// The search view: joins the query form and the results, runs the searches, and handles the keyboard.

import { debounced, entitle, h } from "./dom.js";
import { Problem, RERANKS, Retry, api } from "./api.js";
import * as address from "./address.js";
import { QueryForm } from "./query-form.js";
import { MAX_PAGE, PAGE_SIZE, Results } from "./results.js";

const KEYSTROKE_MS = 30;
const PAUSE_MS = 220;
const NEAR = 0.97; // cosine of near copies

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
    this.running = null; // AbortController of the current search
    this.retry = new Retry();
    this.searchSoon = debounced(() => this.search(), KEYSTROKE_MS);
    this.searchAfterPause = debounced(() => this.search(), PAUSE_MS, { eager: false }); // half a filter is an error
    this.form = new QueryForm(this.state, collection, details, {
      change: (changes, options) => this.change(changes, options),
      submit: () => this.submit(),
      judge: (checkbox) => this.results.judge(checkbox),
    });
    this.results = new Results(this.state, collection, details, {
      turn: (page) => this.change({ page, why: "" }, { step: true, focusFirst: true }),
      setFilter: (filter) => this.setFilter(filter),
      focusQuery: () => this.form.box.focus(),
      useOperators: () => this.useOperators(),
    });
    main.replaceChildren(
      h("h1", { class: "unseen" }, "Search"), this.form.element, this.results.status, this.results.columns);
    if (matchMedia("(pointer: fine)").matches) this.form.box.focus();
  }

  /** Listen to the whole page until another view replaces this one. */
  listen(signal) {
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    addEventListener("popstate", () => this.reopen(), { signal });
    signal.addEventListener("abort", () => (this.running?.abort(), this.retry.cancel()));
  }

  // --- state

  /** `typing`: the filter may be half typed, so that it may be wrong or match nothing. */
  change(changes, { step = false, typing = false, focusFirst = false } = {}) {
    Object.assign(this.state, changes);
    this.typing = typing;
    this.results.focusFirst = focusFirst;
    if (step) address.write(this.state, { step });
    else address.putSoon(address.query(this.state));
    this.form.drawWeight();
    (typing || this.state.rerank ? this.searchAfterPause : this.searchSoon)();
  }

  setFilter(filter) {
    this.form.filter.value = filter;
    this.form.showOptions(Boolean(filter));
    this.change({ filter, page: 1, why: "" }, { step: true });
  }

  useOperators() {
    this.change({ syntax: "operators", page: 1, why: "" }, { step: true, focusFirst: true });
    this.form.show();
  }

  submit() {
    this.typing = false;
    address.finish(this.state);
    this.searchSoon();
  }

  reopen() {
    if (address.query(this.state) === location.search) return; // only the fragment changed
    address.forget();
    Object.assign(this.state, address.read(), { collection: this.collection });
    this.form.show();
    this.search();
  }

  // --- searching

  request() {
    const { q, syntax, mode, weight, filter, sort, join, rerank, page } = this.state;
    const offset = (page - 1) * PAGE_SIZE;
    const request = { query: q, k: PAGE_SIZE, offset, filter, sort, ...(syntax ? { syntax } : {}) };
    if (join) request.collapse = { near: NEAR };
    if (rerank && RERANKS && !sort && q.trim() !== "*") request.rerank = {}; // by the first model of the service
    if (mode) return { ...request, mode };
    const weighted = weight && this.details.modes.includes("hybrid");
    return weighted ? { ...request, mode: "hybrid", weight: Number(weight) } : request;
  }

  async search() {
    this.running?.abort();
    clearTimeout(this.pause);
    this.retry.cancel();
    entitle(this.state.q, "Search", this.collection);
    const running = (this.running = new AbortController());
    if (!this.state.q.trim()) {
      this.form.showFilterError("");
      return this.results.drawWelcome();
    }
    this.main.setAttribute("aria-busy", "true");
    try {
      await this.show(running.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    } finally {
      if (this.running === running) this.main.removeAttribute("aria-busy");
    }
  }

  async show(signal) {
    const request = this.request();
    const k = PAGE_SIZE + (this.state.page < MAX_PAGE); // one more hit tells if more exist
    const log = Boolean(request.rerank); // it has waited until typing paused, and is too slow to run twice
    const found = await api.search(this.collection, { ...request, k, log }, signal);
    if (signal.aborted) return;
    this.retry.done();
    this.form.showFilterError("");
    const { results } = this;
    const isShown = results.request?.query === request.query && results.result.hits.length > 0;
    if (this.typing && isShown && !found.hits.length) return this.results.showNothingYet();
    const more = found.hits.length > PAGE_SIZE;
    this.results.draw({ ...found, hits: found.hits.slice(0, PAGE_SIZE), more }, request);
    this.pause = setTimeout(() => this.results.decorate(signal), PAUSE_MS);
    if (this.state.why) this.results.toggleWhy(this.state.why);
  }

  fail(error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) return;
    const willRetry = this.retry.after(error, () => this.search());
    if (!willRetry && this.results.request?.query !== this.state.q) this.results.clear(); // hits of another query
    if (error.code === "bad_filter" && this.state.filter) return this.form.showFilterError(error.message);
    this.results.showError(error.message, () => this.search());
  }

  // --- keyboard

  key(event) {
    const { box } = this.form;
    const typing = event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "/" && !typing) return take(event, () => box.select() ?? box.focus());
    if (event.key === "Escape" && event.target !== box) return take(event, () => box.focus());
    const hits = this.results.articles();
    const at = hits.indexOf(event.target.closest?.(".hit"));
    const walking = event.target === box || event.target.matches(".hit") || event.target === document.body;
    if (walking && event.key === "ArrowDown" && hits[at + 1]) return take(event, () => hits[at + 1].focus());
    const above = at ? hits[at - 1] : box;
    if (walking && event.key === "ArrowUp" && above) return take(event, () => above.focus());
    if (!event.target.matches(".hit")) return;
    if (event.key === "Enter") return take(event, () => this.results.toggleWhy(event.target.dataset.id));
    if (/^[0-3]$/.test(event.key) && this.results.judgments) {
      return take(event, () => event.target.querySelector(`[data-grade="${event.key}"]`).click());
    }
  }
}

function take(event, act) {
  event.preventDefault();
  act();
}
