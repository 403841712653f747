// Judging: a grade of 0 to 3 for each hit, stored by the service, and measures of the ranking from the judgments.

import { debounced, h, plural } from "./dom.js";
import { MODES, Problem, api } from "./api.js";

const GRADES = ["not relevant", "related", "relevant", "exactly what the query asks"];
const FILES = { "queries.jsonl": "queries", "qrels.tsv": "qrels (BEIR)", "qrels.txt": "qrels (TREC)" };
const PAUSE_MS = 300; // measuring searches for every judged query again

export class Judge {
  /** `modes`: of the collection; `query()` returns the query of the hits. */
  constructor(panel, collection, { modes, query }) {
    Object.assign(this, { panel, collection, query, judgments: [] });
    this.unmeasured = { queries: 0, modes: modes.map((mode) => ({ mode, measures: {} })) };
    this.running = null; // AbortController of the current measuring
    this.last = Promise.resolve(); // judgments are sent one by one, in the order of the clicks
    this.measureSoon = debounced(() => this.measure(), PAUSE_MS, { eager: false });
    this.drawPanel();
  }

  async load() {
    const found = await this.noticing(() => api.judgments(this.collection));
    if (found) this.show(found.judgments);
    else this.summary.textContent = "The judgments could not be loaded.";
  }

  gradeOf(query, document) {
    return this.judgments.find((each) => each.query === query && each.document === document)?.grade;
  }

  buttons(hit) {
    const current = this.gradeOf(this.query(), hit.id);
    const name = hit.title || hit.id;
    const button = (meaning, grade) => h("button", {
      type: "button", "data-grade": grade, "aria-pressed": String(grade === current), title: meaning,
      "aria-label": `${grade}: ${meaning}`, onclick: () => this.set(hit, grade, group),
    }, grade);
    const group = h("span", { class: "grades", role: "group", "aria-label": `Judge ${name}` }, GRADES.map(button));
    return group;
  }

  set(hit, grade, group) {
    const query = this.query();
    this.last = this.last.then(() => this.send(query, hit.id, grade, group));
  }

  async send(query, document, grade, group) {
    this.notice.textContent = "";
    const chosen = this.gradeOf(query, document) === grade ? null : grade; // a second click removes the grade
    const found = await this.noticing(() => api.judge(this.collection, { query, document, grade: chosen }));
    if (!found) return;
    [...group.children].forEach((button, each) => button.setAttribute("aria-pressed", String(each === chosen)));
    this.show(found.judgments);
    this.measureSoon();
  }

  /** Return the result of `send`; on failure show the error in the notice and return null. */
  async noticing(send) {
    try {
      return await send();
    } catch (error) {
      if (error.name === "AbortError") return null;
      this.notice.textContent = error.status === 403 ? "Judging needs a key that may write." : error.message;
      if (!(error instanceof Problem)) throw error;
      return null;
    }
  }

  /** Draw the panel once with all its parts, so that its height and the position of the hits hardly change. */
  drawPanel() {
    const download = ([file, label]) =>
      h("button", { type: "button", class: "quiet", disabled: true, onclick: () => this.download(file) }, label);
    this.summary = h("p", {}, "Loading judgments…");
    this.downloads = h("p", { class: "downloads" }, "Download: ", Object.entries(FILES).map(download));
    this.notice = h("p", { class: "warn", role: "alert" });
    this.table = h("div", { "aria-live": "polite" });
    this.all = h("tbody");
    this.panel.replaceChildren(
      this.summary,
      this.notice,
      this.table,
      this.downloads,
      h("details", {}, h("summary", {}, "All judgments"), h("table", { class: "list" }, this.all)));
    this.drawMeasures(this.unmeasured);
  }

  show(judgments) {
    this.judgments = judgments;
    const queries = new Set(judgments.map((each) => each.query));
    this.summary.textContent = judgments.length
      ? `${plural(judgments.length, "judgment")} of ${plural(queries.size, "query", "queries")}`
      : "Give hits 0 to 3: 0 not relevant, 3 exactly what the query asks.";
    for (const button of this.downloads.querySelectorAll("button")) button.disabled = !judgments.length;
    const text = (content) => h("td", { dir: "auto" }, content);
    const row = (each) => h("tr", {}, text(each.query), text(each.document), h("td", { class: "number" }, each.grade));
    this.all.replaceChildren(...judgments.map(row));
  }

  async measure() {
    this.running?.abort();
    const { signal } = (this.running = new AbortController());
    if (!this.judgments.length) return this.drawMeasures(this.unmeasured);
    const found = await this.noticing(() => api.measure(this.collection, {}, signal));
    if (found && !signal.aborted) this.drawMeasures(found);
  }

  drawMeasures({ queries, modes }) {
    const measure = `nDCG@10 over ${plural(queries, "judged query", "judged queries")}`;
    const heads = ["ranked by", measure, "of the first 10 judged"];
    const row = ({ mode, measures: { "nDCG@10": gain, "Judged@10": judged } }) =>
      h("tr", {}, h("th", { scope: "row" }, MODES[mode].name),
        h("td", { class: "number" }, gain === undefined ? "–" : gain.toFixed(3)),
        h("td", { class: "number" }, judged === undefined ? "–" : `${Math.round(100 * judged)} %`));
    this.table.replaceChildren(h("table", { class: "list" },
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, modes.map(row))));
  }

  async download(file) {
    const text = await this.noticing(() => api.download(this.collection, file));
    if (text === null) return;
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    h("a", { href: url, download: `${this.collection}-${file}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}
