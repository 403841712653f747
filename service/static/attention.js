// The self-attention of the encoder over the passage or the query, by layer and head.

import { h } from "./dom.js";
import { api } from "./api.js";

const PICTURE_PIXELS = 72; // width of a head's picture
const MEAN = -1;

export function attentionTab({ collection, hit, query }) {
  const state = { side: "passage", layer: 0, head: MEAN, word: -1, data: null };
  const view = h("div", { class: "attention-view" }, h("p", { class: "state" }, "Loading…"));
  const layers = h("select", { "aria-label": "Layer", onchange: () => load({ layer: Number(layers.value) }) });
  const side = h("select", { "aria-label": "Text", onchange: (event) => load({ side: event.target.value, word: -1 }) },
    h("option", { value: "passage" }, "passage"), h("option", { value: "query" }, "query"));

  let running = null; // AbortController of the current request

  async function load(changes) {
    Object.assign(state, changes);
    running?.abort();
    const { signal } = (running = new AbortController());
    const { side: text, layer } = state;
    try {
      const data = await api.attention(collection, { query, id: hit.id, side: text, layer }, signal);
      if (signal.aborted) return;
      state.data = data;
      layers.replaceChildren(...Array.from({ length: data.layers }, (_, each) =>
        h("option", { value: each, selected: each === layer }, `layer ${each + 1}`)));
      draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      view.replaceChildren(h("p", { class: "state warn", role: "alert" }, error.message));
    }
  }

  function choose(head) {
    state.head = head;
    draw();
    view.querySelector('.head-picture[aria-pressed="true"]').focus(); // `draw` has replaced it
  }

  const at = (from, to) => {
    const { weights } = state.data;
    if (state.head !== MEAN) return weights[state.head][from][to];
    return weights.reduce((sum, head) => sum + head[from][to], 0) / weights.length;
  };

  function draw() {
    const { words, weights } = state.data;
    const heads = [MEAN, ...weights.keys()].map((head) => {
      const canvas = h("canvas", { width: words.length, height: words.length });
      picture(canvas, head === MEAN ? null : weights[head], weights);
      return h("button", {
        type: "button", class: "head-picture", "aria-pressed": String(head === state.head),
        style: { "--size": `${PICTURE_PIXELS}px` }, onclick: () => choose(head),
      }, canvas, h("small", {}, head === MEAN ? "all heads" : `head ${head + 1}`));
    });
    const spots = words.map((word, place) => {
      const shown = word.place === "special" ? (place ? "[SEP]" : "[CLS]") : word.text;
      return h("button", {
        type: "button", class: `passage-word ${word.place}`,
        onpointerenter: () => look(place), onfocus: () => look(place),
        onclick: () => look((state.word = state.word === place ? -1 : place)),
      }, shown);
    });
    const text = h("p", { class: "tinted", dir: "auto", onpointerleave: () => look(state.word) },
      spots.flatMap((spot, place) => [needsSpace(words[place - 1], words[place]) ? " " : "", spot]));
    function look(place) {
      const mean = (to) => words.reduce((sum, _, from) => sum + at(from, to), 0) / words.length;
      const row = words.map((_, to) => (place < 0 ? mean(to) : at(place, to)));
      const maxWeight = Math.max(...row, 1e-9);
      spots.forEach((spot, to) => {
        spot.style.setProperty("--heat", (row[to] / maxWeight).toFixed(3));
        spot.classList.toggle("from", to === place);
        spot.title = `${(100 * row[to]).toFixed(1)} % of the attention`;
      });
    }
    view.replaceChildren(h("div", { class: "heads", role: "group", "aria-label": "Heads" }, heads), text);
    look(state.word);
  }

  load({});
  return h("div", {},
    h("p", { class: "dim" },
      "The encoder represents each word by attending to other words. Point at a word to see its attention. ",
      "A head that adds nothing attends to [CLS] or [SEP]."),
    h("div", { class: "settings" }, side, layers), view);
}

function needsSpace(before, word) {
  return before && !(before.place === word.place && before.end === word.start);
}

/** Draw a matrix as a picture: the larger a weight, the darker its pixel. */
function picture(canvas, matrix, all) {
  const size = canvas.width;
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--picture").trim().split(/\s+/).map(Number);
  for (let from = 0; from < size; from++) {
    for (let to = 0; to < size; to++) {
      const value = matrix ? matrix[from][to] : all.reduce((sum, head) => sum + head[from][to], 0) / all.length;
      image.data.set([dark[0], dark[1], dark[2], 255 * Math.min(1, Math.sqrt(value))], 4 * (from * size + to));
    }
  }
  context.putImageData(image, 0, 0);
}
