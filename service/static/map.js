// A sample of the vectors in two dimensions, coloured by a field; it highlights the hits of a query.

import { count, debounced, h, plural, shown } from "./dom.js";
import { api } from "./api.js";

const HUES = [205, 25, 145, 330, 265, 85, 175, 0, 55, 300];
const HEIGHT = 420;

export async function map(collection, details, signal) {
  const data = await api.projection(collection, signal).catch((error) => error);
  if (data instanceof Error) return h("p", { class: "warn", role: "alert" }, data.message);
  const state = { field: Object.keys(data.fields)[0] || "", lit: new Map(), near: -1 };
  const sample = plural(data.ids.length, "passage");
  const canvas = h("canvas", { class: "map", role: "img", "aria-label": `Map of ${sample}` });
  const label = h("p", { class: "map-label", "aria-live": "polite" });
  const key = h("p", { class: "key" });
  const box = h("input", { type: "search", id: "q", dir: "auto", placeholder: "Search to highlight hits",
    "aria-label": "Query", oninput: debounced(() => light(box.value), 120) });
  const field = h("select", { "aria-label": "Colour by", onchange: () => { state.field = field.value; draw(); } },
    Object.keys(data.fields).map((name) => h("option", { value: name }, `colour by ${name}`)));

  let running = null; // AbortController of the current search

  async function light(query) {
    running?.abort();
    const { signal } = (running = new AbortController());
    try {
      const hits = query.trim() ? (await api.search(collection, { query, k: 50 }, signal)).hits : [];
      if (signal.aborted) return;
      state.lit = new Map(hits.map((hit) => [hit.id, hit.rank]));
      label.textContent = query.trim() ? inSample(hits) : "";
      draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      label.textContent = error.message;
    }
  }

  function inSample(hits) {
    const ids = new Set(data.ids); // of documents: each passage is a point, so an id may occur several times
    const seen = hits.filter((hit) => ids.has(hit.id)).length;
    if (hits.length > 1) return `${count(seen)} of the ${count(hits.length)} best hits are in this sample`;
    return hits.length ? `The only hit is ${seen ? "" : "not "}in this sample` : "Nothing matched";
  }

  const place = (at) => [20 + data.x[at] * (canvas.clientWidth - 40), 20 + data.y[at] * (HEIGHT - 40)];

  function draw() {
    const scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = HEIGHT * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const colours = coloursOf(data.fields[state.field] || []);
    const quiet = state.lit.size > 0;
    const order = [...data.ids.keys()].sort((a, b) => state.lit.has(data.ids[a]) - state.lit.has(data.ids[b]));
    for (const at of order) {
      const [x, y] = place(at);
      const lit = state.lit.has(data.ids[at]);
      context.globalAlpha = lit || at === state.near ? 1 : quiet ? 0.15 : 0.6;
      context.fillStyle = colours.of(data.fields[state.field]?.[at]);
      context.beginPath();
      context.arc(x, y, lit ? 6 : at === state.near ? 5 : 2.6, 0, 7);
      context.fill();
      if (lit) {
        context.lineWidth = 2;
        context.strokeStyle = getComputedStyle(canvas).color;
        context.stroke();
      }
    }
    const entry = ([value, colour]) => h("span", {}, h("i", { style: { background: colour } }), h("bdi", {}, value));
    key.replaceChildren(...colours.key.map(entry));
  }

  function nearest(event) {
    const area = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - area.left, event.clientY - area.top];
    let best = [144, -1];
    data.ids.forEach((_, at) => {
      const [a, b] = place(at);
      const distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < best[0]) best = [distance, at];
    });
    if (best[1] !== state.near) {
      state.near = best[1];
      label.textContent = state.near < 0 ? "" : data.titles[state.near];
      draw();
    }
  }

  canvas.addEventListener("pointermove", nearest);
  new ResizeObserver(draw).observe(canvas);
  const share = Math.round(100 * data.explained.reduce((sum, each) => sum + each, 0));
  return h("section", {}, h("h2", {}, "Map"),
    h("p", { class: "dim" },
      `${sample} of ${plural(details.passages, "passage")}, placed by the first two principal components of the `,
      `vectors (PCA), which hold ${share} % of their variance.`),
    h("div", { class: "settings" }, box, Object.keys(data.fields).length ? field : null), canvas, label, key);
}

/** Colours for the most frequent values; all others are grey. */
function coloursOf(values) {
  const counts = new Map();
  for (const value of values) if (value !== null) counts.set(shown(value), (counts.get(shown(value)) || 0) + 1);
  const frequent = [...counts].sort((a, b) => b[1] - a[1]).slice(0, HUES.length).map(([value]) => value);
  const colour = (value) => {
    const at = value === null || value === undefined ? -1 : frequent.indexOf(shown(value));
    return at < 0 ? "hsl(220 8% 55%)" : `hsl(${HUES[at]} 62% 50%)`;
  };
  return { of: colour, key: frequent.map((value) => [value, colour(value)]) };
}
