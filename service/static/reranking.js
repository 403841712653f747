// The reranking of a hit: the parts of its score, and the pairs of words of late interaction.

import { h } from "./dom.js";
import { api } from "./api.js";
import { heatMap, tintedWords } from "./word-pairs.js";

const SCORE = "score of the late interaction";

/** The content of the tab, which loads on first use: the service ranks the hits again to explain one. */
export function rerankTab({ collection, hit, request }) {
  const element = h("div", {}, h("p", { class: "state" }, "Loading…"));
  api.search(collection, { ...request, k: 1, offset: hit.rank - 1, explain: true })
    .then(({ hits: [same] }) => {
      const found = same?.id === hit.id ? same.explanation.rerank : null;
      element.replaceChildren(...(found ? drawn(same.score, found) : [h("p", {}, "The hits have changed. Search again.")]));
    })
    .catch((error) => element.replaceChildren(h("p", { class: "state warn", role: "alert" }, error.message)));
  return element;
}

function drawn(score, { model, score: own, weight, first, rescaled, words }) {
  const part = (share, value, text) => [
    h("b", {}, (share * value).toFixed(3)), h("span", { class: "dim" }, ` (${share.toFixed(2)} × ${value.toFixed(3)} ${text})`)];
  const sum = h("p", { class: "equation" }, h("b", {}, score.toFixed(3)), " = ",
    part(1 - weight, first, "before reranking"), " + ", part(weight, rescaled, `by ${model}, whose score is ${own.toFixed(3)}`));
  if (!words) return [sum, h("p", { class: "dim" }, "This model reads query and passage together: its score has no parts.")];
  return [sum, tintedWords(words, SCORE), ...(words.pairs.length ? [heatMap(words, SCORE)] : [])];
}
