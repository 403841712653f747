// Side by side: one query with two settings or two collections, and lines between the ranks of the same document.

import { debounced, entitle, h, plural, s } from "./dom.js";
import { Problem, Retry, WEIGHT, api, choices } from "./api.js";
import * as address from "./address.js";
import { card, rankChange } from "./hits.js";

const K = 10;
const KEYSTROKE_MS = 60;
const PAUSE_MS = 220; // half a filter is an error
const WEIGHTS = [["", "auto weight"], ...WEIGHT.choices.map((each) => [String(each), `${Math.round(each * 100)} % meaning`])];

export async function open(main, { collection, collections, signal }) {
  const parameters = new URLSearchParams(location.search);
  const side = (letter, standard) => ({
    collection: parameters.get(`${letter}c`) || collection, mode: parameters.get(`${letter}m`) ?? standard,
    weight: parameters.get(`${letter}w`) || "", filter: parameters.get(`${letter}f`) || "",
  });
  const { modes } = await api.collection(collection, signal);
  const state = { q: parameters.get("q") || "", sides: [side("l", "dense"), side("r", "")] };
  const search = debounced(run, KEYSTROKE_MS);
  const changed = { changed: search, filtered: debounced(run, PAUSE_MS, { eager: false }) };
  const columns = state.sides.map((each, place) => new Column(each, place ? "Right" : "Left", { collections, modes }, changed));
  const box = h("input", {
    id: "q", type: "search", dir: "auto", value: state.q, placeholder: "One query, two rankings…",
    autocomplete: "off", "aria-label": "Query", oninput: () => { state.q = box.value; search(); },
  });
  const lines = s("svg", { class: "lines", "aria-hidden": "true" });
  const summary = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const stage = h("div", { class: "sides" }, columns[0].element, lines, columns[1].element);
  const retry = new Retry();
  let running = null; // AbortController of the current searches

  main.replaceChildren(
    h("h1", { class: "unseen" }, "Side by side"),
    h("form", { class: "ask", role: "search", onsubmit: (event) => event.preventDefault() }, box), summary, stage);
  stage.addEventListener("pointerover", (event) => light(event.target.closest(".hit")?.dataset.id));
  stage.addEventListener("pointerleave", () => light(null));
  addEventListener("resize", draw, { signal });
  signal.addEventListener("abort", () => (running?.abort(), retry.cancel()));
  entitle(state.q, "Side by side", collection);
  if (state.q) run();
  box.focus();

  async function run() {
    remember(state, collection);
    running?.abort();
    retry.cancel();
    const current = (running = new AbortController());
    const answers = await Promise.all(columns.map((column) => column.search(state.q, current.signal)));
    if (current.signal.aborted) return;
    columns.forEach((column, place) => column.draw(answers[place], answers[1 - place]));
    summary.textContent = answers.every((each) => each?.hits) ? overlap(...answers) : "";
    draw();
    const problems = answers.filter((each) => each instanceof Problem);
    if (!problems.some((each) => retry.after(each, run))) retry.done();
  }

  /** A line for each document that both sides have. */
  function draw() {
    const area = stage.getBoundingClientRect();
    lines.setAttribute("viewBox", `0 0 ${area.width} ${area.height}`);
    lines.replaceChildren();
    for (const left of columns[0].element.querySelectorAll(".hit")) {
      const right = columns[1].element.querySelector(`[data-id="${CSS.escape(left.dataset.id)}"]`);
      if (!right) continue;
      const [a, b] = [left.getBoundingClientRect(), right.getBoundingClientRect()];
      const [x1, y1, x2, y2] = [a.right - area.left, a.top + 22 - area.top, b.left - area.left, b.top + 22 - area.top];
      if (x2 <= x1) continue; // on a narrow screen the columns are stacked
      const middle = (x1 + x2) / 2;
      const kind = left.dataset.rank === right.dataset.rank ? "same" : "moved";
      const path = `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
      lines.append(s("path", { class: kind, d: path, "data-id": left.dataset.id }));
    }
  }

  function light(id) {
    for (const line of lines.children) line.classList.toggle("lit", line.dataset.id === id);
  }
}

class Column {
  /** A change of a setting calls `changed`; each key in the filter calls `filtered`. */
  constructor(state, label, { collections, modes }, { changed, filtered }) {
    Object.assign(this, { state, label });
    const set = (name, then = changed) => (event) => {
      state[name] = event.target.value;
      this.weight.hidden = state.mode !== "";
      then();
    };
    const choice = (name, text, items) => h("select", { "aria-label": `${label}: ${text}`, onchange: set(name) },
      items.map(([value, item]) => h("option", { value, selected: value === state[name] }, item)));
    const names = collections.map((each) => [each.name, each.name]);
    this.weight = choice("weight", "share of meaning", WEIGHTS);
    this.weight.hidden = state.mode !== "";
    this.filterError = h("p", { class: "error", role: "alert", hidden: true });
    this.list = h("ol", { class: "hits", "aria-label": `${label} hits` });
    this.element = h("section", { class: "side", "aria-label": label },
      h("div", { class: "settings" },
        names.length > 1 ? choice("collection", "collection", names) : null,
        choice("mode", "rank by", choices(modes)),
        this.weight,
        h("input", {
          value: state.filter, dir: "auto", placeholder: "filter", "aria-label": `${label}: filter`,
          autocomplete: "off", oninput: set("filter", filtered),
        })),
      this.filterError,
      this.list);
  }

  /** Return the result, the error of the search, or null if there is no query. */
  async search(query, signal) {
    if (!query.trim()) return null;
    const { collection, mode, weight, filter } = this.state;
    const settings = mode ? { mode } : weight ? { mode: "hybrid", weight: Number(weight) } : {};
    try {
      return await api.search(collection, { query, k: K, filter, ...settings }, signal);
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Problem)) throw error;
      return error;
    }
  }

  /** Draw the result of this side; `other` is the result of the other side. */
  draw(answer, other) {
    const isWrong = answer?.code === "bad_filter"; // it may be half typed: the hits before it stay
    this.filterError.textContent = isWrong ? answer.message : "";
    this.filterError.hidden = !isWrong;
    if (isWrong) return;
    if (answer?.hits) this.list.replaceChildren(...answer.hits.map((hit) => this.item(hit, other)));
    else this.list.replaceChildren(answer ? h("li", { class: "state warn", role: "alert" }, answer.message) : "");
  }

  item(hit, other) {
    const drawn = card(hit, { level: 2, actions: other?.hits ? [rankChange(ranks(other).get(hit.id), hit.rank)] : [] });
    drawn.dataset.rank = hit.rank;
    return h("li", {}, drawn);
  }
}

const ranks = (answer) => new Map(answer.hits.map((hit) => [hit.id, hit.rank]));

function overlap(left, right) {
  const [places, others] = [ranks(left), ranks(right)];
  const both = [...places.keys()].filter((id) => others.has(id));
  const same = both.filter((id) => places.get(id) === others.get(id));
  const most = Math.max(places.size, others.size);
  return `${both.length} of ${plural(most, "document")} on both sides, ${same.length} at the same rank.`;
}

function remember({ q, sides }, collection) {
  const parameters = new URLSearchParams();
  if (q) parameters.set("q", q);
  parameters.set("c", collection);
  sides.forEach((side, place) => {
    const letter = place ? "r" : "l";
    parameters.set(`${letter}m`, side.mode);
    if (side.collection !== collection) parameters.set(`${letter}c`, side.collection);
    if (side.weight) parameters.set(`${letter}w`, side.weight);
    if (side.filter) parameters.set(`${letter}f`, side.filter);
  });
  address.putSoon(`?${parameters}`);
  entitle(q, "Side by side", collection);
}
