// Side by side: one query, two settings or two collections, lines between the places of the same document.

import { debounced, h, s } from "./dom.js";
import { api } from "./api.js";
import { card } from "./hits.js";
import { move } from "./why.js";

const K = 10;
const MODES = [["", "Both"], ["dense", "Meaning"], ["lexical", "Words"]];

export async function open(main, { collection, collections }) {
  const parameters = new URLSearchParams(location.search);
  const side = (letter, standard) => ({
    collection: parameters.get(`${letter}c`) || collection, mode: parameters.get(`${letter}m`) ?? standard,
    weight: parameters.get(`${letter}w`) || "", filter: parameters.get(`${letter}f`) || "",
  });
  const state = { q: parameters.get("q") || "", sides: [side("l", "dense"), side("r", "")] };
  const columns = state.sides.map((each, place) => new Column(each, place ? "Right" : "Left", collections, () => search()));
  const box = h("input", { id: "q", type: "search", value: state.q, placeholder: "One query, two rankings…", autocomplete: "off", "aria-label": "Query", oninput: () => { state.q = box.value; search(); } });
  const lines = s("svg", { class: "lines", "aria-hidden": "true" });
  const summary = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const stage = h("div", { class: "sides" }, columns[0].element, lines, columns[1].element);
  main.append(h("form", { class: "ask", role: "search", onsubmit: (event) => event.preventDefault() }, box), summary, stage);
  const search = debounced(run, 60);
  addEventListener("resize", () => draw());
  let running = null;
  if (state.q) run();
  box.focus();

  async function run() {
    remember(state, collection);
    running?.abort();
    const mine = (running = new AbortController());
    if (!state.q.trim()) return columns.forEach((column) => column.clear());
    const results = await Promise.all(columns.map((column) => column.search(state.q, mine.signal)));
    if (mine !== running || mine.signal.aborted) return;
    const [left, right] = results;
    if (left && right) {
      columns[0].draw(left, ranks(right));
      columns[1].draw(right, ranks(left));
      summary.replaceChildren(overlap(left, right));
    }
    draw();
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
      if (x2 <= x1) continue; // one below the other on a narrow screen
      const middle = (x1 + x2) / 2;
      const kind = left.dataset.rank === right.dataset.rank ? "same" : "moved";
      const line = s("path", { class: kind, d: `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` });
      for (const hit of [left, right]) {
        hit.addEventListener("pointerenter", () => line.classList.add("lit"));
        hit.addEventListener("pointerleave", () => line.classList.remove("lit"));
      }
      lines.append(line);
    }
  }
}

class Column {
  constructor(state, label, collections, changed) {
    Object.assign(this, { state, label });
    const set = (name) => (event) => { state[name] = event.target.value; this.weight.hidden = state.mode !== ""; changed(); };
    const options = (items, current) => items.map(([value, text]) => h("option", { value, selected: value === current }, text));
    this.weight = h("select", { "aria-label": `${label}: share of meaning`, onchange: set("weight"), hidden: state.mode !== "" },
      options([["", "auto weight"], ...[0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1].map((each) => [String(each), `${Math.round(each * 100)} % meaning`])], state.weight));
    this.list = h("ol", { class: "hits", "aria-label": `${label} hits` });
    this.element = h("section", { class: "side", "aria-label": label },
      h("div", { class: "settings" },
        collections.length > 1 ? h("select", { "aria-label": `${label}: collection`, onchange: set("collection") }, options(collections.map((each) => [each.name, each.name]), state.collection)) : null,
        h("select", { "aria-label": `${label}: what to match`, onchange: set("mode") }, options(MODES, state.mode)),
        this.weight,
        h("input", { value: state.filter, placeholder: "filter", "aria-label": `${label}: filter`, autocomplete: "off", oninput: set("filter") })),
      this.list);
  }

  async search(query, signal) {
    const { collection, mode, weight, filter } = this.state;
    const settings = mode ? { mode } : weight ? { mode: "hybrid", weight: Number(weight) } : {};
    try {
      return await api.search(collection, { query, k: K, filter, ...settings }, signal);
    } catch (error) {
      if (error.name !== "AbortError") this.list.replaceChildren(h("li", { class: "state warn", role: "alert" }, error.message));
      return null;
    }
  }

  draw(result, elsewhere) {
    this.list.replaceChildren(...result.hits.map((hit) => {
      const drawn = card(hit, { level: 3, actions: [move(elsewhere.get(hit.id), hit.rank)] });
      drawn.dataset.rank = hit.rank;
      return h("li", {}, drawn);
    }));
  }

  clear() {
    this.list.replaceChildren();
  }
}

const ranks = (result) => new Map(result.hits.map((hit) => [hit.id, hit.rank]));

function overlap(left, right) {
  const both = left.hits.filter((hit) => ranks(right).has(hit.id)).length;
  const same = left.hits.filter((hit) => ranks(right).get(hit.id) === hit.rank).length;
  return `${both} of ${Math.max(left.hits.length, right.hits.length)} documents on both sides, ${same} in the same place.`;
}

function remember({ q, sides }, collection) {
  const parameters = new URLSearchParams();
  if (q) parameters.set("q", q);
  parameters.set("c", collection);
  sides.forEach((side, place) => {
    const letter = place ? "r" : "l";
    for (const [short, name] of Object.entries({ c: "collection", m: "mode", w: "weight", f: "filter" })) {
      if (side[name] && !(name === "collection" && side[name] === collection)) parameters.set(letter + short, side[name]);
      else if (name === "mode") parameters.set(letter + short, "");
    }
  });
  history.replaceState(null, "", `${location.pathname}?${parameters}`);
}
