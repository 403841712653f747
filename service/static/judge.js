// Judging: 0 to 3 for each hit, kept by the service; and what the judgments so far say about the ranking.

import { h, plural } from "./dom.js";
import { api } from "./api.js";

const GRADES = ["not relevant", "related", "relevant", "just what was asked"];
const MODES = { dense: "meaning", lexical: "words", hybrid: "both" };
const FILES = { "queries.jsonl": "queries", "qrels.tsv": "qrels (BEIR)", "qrels.txt": "qrels (TREC)" };

export class Judge {
  constructor(panel, collection, body) {
    Object.assign(this, { panel, collection, body, judgments: [] });
  }

  async load() {
    this.panel.replaceChildren(h("p", { class: "state" }, "Loading judgments…"));
    try {
      this.judgments = (await api.judgments(this.collection)).judgments;
      this.draw();
      await this.measure();
    } catch (error) {
      this.panel.replaceChildren(h("p", { class: "state warn", role: "alert" }, error.message));
    }
  }

  gradeOf(document) {
    const query = this.body().query.trim();
    return this.judgments.find((each) => each.query === query && each.document === document)?.grade;
  }

  buttons(hit) {
    const current = this.gradeOf(hit.id);
    const group = h("span", { class: "grades", role: "group", "aria-label": `Judge ${hit.title || hit.id}` }, GRADES.map((meaning, grade) =>
      h("button", { type: "button", "data-grade": grade, "aria-pressed": String(grade === current), title: meaning, "aria-label": `${grade}: ${meaning}`, onclick: () => this.set(hit, grade, group) }, grade)));
    return group;
  }

  async set(hit, grade, group) {
    const chosen = this.gradeOf(hit.id) === grade ? null : grade; // a second click takes it back
    try {
      const { judgments } = await api.judge(this.collection, { query: this.body().query.trim(), document: hit.id, grade: chosen });
      this.judgments = judgments;
      for (const button of group.children) button.setAttribute("aria-pressed", String(Number(button.dataset.grade) === chosen));
      this.draw();
      await this.measure();
    } catch (error) {
      this.notice.textContent = error.status === 403 ? "Judging needs a key that may write." : error.message;
    }
  }

  draw() {
    const queries = [...new Set(this.judgments.map((each) => each.query))];
    this.notice = h("p", { class: "warn", role: "alert" });
    this.table = h("div", { "aria-live": "polite" });
    const download = (file, label) => h("button", { type: "button", class: "quiet", onclick: () => this.download(file) }, label);
    this.panel.replaceChildren(
      h("p", {}, this.judgments.length ? h("strong", {}, `${plural(this.judgments.length, "judgment")} of ${plural(queries.length, "query", "queries")}`) : "Give hits 0 to 3: 0 not relevant, 3 just what was asked.", this.judgments.length ? h("span", { class: "downloads" }, " Download: ", Object.entries(FILES).map(([file, label]) => download(file, label))) : null),
      this.notice,
      this.table,
      this.judgments.length ? h("details", {}, h("summary", {}, "All judgments"), h("table", { class: "list" }, h("tbody", {}, this.judgments.map((each) => h("tr", {}, h("td", {}, each.query), h("td", {}, each.document), h("td", { class: "number" }, each.grade)))))) : "");
  }

  async measure() {
    if (!this.judgments.length) return;
    const { modes, queries } = await api.measure(this.collection, {});
    this.table.replaceChildren(h("table", { class: "list" },
      h("thead", {}, h("tr", {}, ["ranked by", `nDCG@10 over ${plural(queries, "judged query", "judged queries")}`, "of the first 10 judged"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, modes.map((each) => h("tr", {}, h("th", { scope: "row" }, MODES[each.mode]), h("td", { class: "number" }, `${each.measures["nDCG@10"].toFixed(3)}`), h("td", { class: "number" }, `${Math.round(100 * each.measures["Judged@10"])} %`))))));
  }

  async download(file) {
    const url = URL.createObjectURL(new Blob([await api.download(this.collection, file)], { type: "text/plain" }));
    h("a", { href: url, download: `${this.collection}-${file}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}
