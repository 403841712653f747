// The explanation of a hit: the parts of its score, word by word.

import { h } from "./dom.js";
import { api, explainRequest } from "./api.js";
import { attentionTab } from "./attention.js";
import { rankChange } from "./hits.js";
import { rerankTab } from "./reranking.js";
import { heatMap, tintedWords } from "./word-pairs.js";

let panels = 0;

/** The panel of one hit.  Loads the explanation if it is not given. */
export function panel({ collection, hit, result, request, explanation }) {
  const content = h("div", { class: "why-content" }, h("p", { class: "state" }, "Loading the explanation…"));
  const section = h("section", { class: "why", "aria-label": `Why ${hit.title || hit.id} matched` }, content);
  (explanation ? Promise.resolve(explanation) : api.explain(collection, explainRequest(request, hit)))
    .then((found) => content.replaceChildren(...draw({ collection, hit, result, request, found })))
    .catch((error) => content.replaceChildren(h("p", { class: "state warn", role: "alert" }, error.message)));
  return section;
}

function draw({ collection, hit, result, request, found }) {
  const { dense, lexical, sparse } = found;
  const tabs = [
    dense && ["Meaning", () => tintedWords(dense, "cosine")],
    dense?.pairs.length && ["Word by word", () => heatMap(dense, "cosine")],
    lexical && ["Words", () => lexicalTab(lexical)],
    sparse && ["Terms", () => sparseTab(sparse)],
    typeof hit.scores?.rerank === "number" && ["Reranking", () => rerankTab({ collection, hit, request })],
    dense && ["Attention", () => attentionTab({ collection, hit, query: request.query })],
    ["What if", () => whatIf({ collection, hit, result, request })],
  ].filter(Boolean);
  return [equation(hit, result, found), tabbed(tabs)];
}

/** The score as a sum, in one line. */
function equation(hit, result, { dense, lexical, sparse }) {
  const parts = [];
  if (dense) parts.push(h("span", { class: "term dense" }, h("b", {}, dense.score.toFixed(3)), " meaning (cosine)"));
  if (lexical) parts.push(h("span", { class: "term lexical" }, h("b", {}, lexical.score.toFixed(2)), " words (BM25)"));
  if (sparse) parts.push(h("span", { class: "term sparse" }, h("b", {}, sparse.score.toFixed(2)), " terms"));
  const { dense: cosine, fused } = hit.scores || {};
  const weight = result.weight;
  if (typeof fused !== "number" || typeof cosine !== "number" || typeof weight !== "number")
    return h("p", { class: "equation" }, h("b", {}, hit.score.toFixed(3)), " = ", parts.flatMap((part, place) => (place ? [" and ", part] : [part])));
  const [low, high] = result.score_ranges?.dense || [0, 1];
  const scaled = (cosine - low) / (high - low);
  const mine = weight * scaled;
  const part = result.sparse_weight || 0;
  const terms = sparse && part ? ((1 - weight) * part * sparse.score) / (result.score_ranges.sparse?.[1] || 1) : 0;
  const share = " as a share of the query's best)";
  return h("p", { class: "equation" },
    h("b", {}, fused.toFixed(3)), " = ", h("b", {}, mine.toFixed(3)), h("span", { class: "dim" }, ` (${weight.toFixed(2)} × ${scaled.toFixed(3)}: `), parts[0], h("span", { class: "dim" }, `${moved(result)}${against(low)})`),
    " + ", h("b", {}, (fused - mine - terms).toFixed(3)), h("span", { class: "dim" }, ` (${((1 - weight) * (1 - part)).toFixed(2)} × `), parts[1] || "words", h("span", { class: "dim" }, share),
    terms ? [" + ", h("b", {}, terms.toFixed(3)), h("span", { class: "dim" }, ` (${((1 - weight) * part).toFixed(2)} × `), parts[2], h("span", { class: "dim" }, share)] : null,
    result.weight_reason ? h("span", { class: "dim" }, `; weight: ${result.weight_reason}`) : null);
}

const moved = ({ feedback }) => (feedback ? `, with ${Math.round(100 * feedback)} % of the two best passages in the query` : "");

const against = (low) => (low ? `, against ${low.toFixed(3)} between unrelated texts` : "");

function tabbed(tabs) {
  const id = `why-${++panels}`;
  const drawn = new Map();
  const body = h("div", { role: "tabpanel", id: `${id}-panel`, tabindex: "0" });
  const buttons = tabs.map(([label], place) =>
    h("button", { type: "button", role: "tab", id: `${id}-${place}`, "aria-controls": `${id}-panel`, onclick: () => show(place), onkeydown: (event) => walk(event, place) }, label));
  function show(place) {
    buttons.forEach((button, each) => {
      button.setAttribute("aria-selected", String(each === place));
      button.tabIndex = each === place ? 0 : -1;
    });
    if (!drawn.has(place)) drawn.set(place, tabs[place][1]());
    body.setAttribute("aria-labelledby", `${id}-${place}`);
    body.replaceChildren(drawn.get(place));
  }
  function walk(event, place) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const to = (place + step + tabs.length) % tabs.length;
    show(to);
    buttons[to].focus();
  }
  show(0);
  return h("div", {}, h("div", { role: "tablist", "aria-label": "Parts of the explanation" }, buttons), body);
}

// --- words: BM25 by term

const inFields = ({ fields }) => (fields.length ? h("small", { class: "dim" }, ` in ${fields.join(", ")}`) : null);

function lexicalTab(lexical) {
  const maxScore = Math.max(...lexical.terms.map((term) => term.score), 1e-9);
  return h("div", {},
    h("p", { class: "dim" }, "Share of each query term in the BM25 score: rare terms add more, and each further occurrence adds less."),
    lexical.terms.length
      ? h("table", { class: "bars" }, h("tbody", {}, lexical.terms.map((term) =>
          h("tr", {}, h("th", { scope: "row" }, term.term, inFields(term)), h("td", {}, h("span", { class: "bar", style: { "--share": `${(100 * Math.max(0, term.score)) / maxScore}%` } })), h("td", { class: "number" }, term.score.toFixed(3))))))
      : h("p", {}, "The passage has none of the query's words: it was found by its meaning."),
    lexical.stop_words.length ? h("p", { class: "dim" }, `Left out as stop words: ${lexical.stop_words.join(", ")}.`) : null);
}

// --- terms: the sparse score by term

function sparseTab(sparse) {
  const maxScore = Math.max(...sparse.terms.map((term) => term.score), 1e-9);
  return h("div", {},
    h("p", { class: "dim" }, "Share of each term in the sparse score: its weight in the query times its weight in the passage. The sparse encoder adds related terms to both."),
    sparse.terms.length
      ? h("table", { class: "bars" }, h("tbody", {}, sparse.terms.map((term) =>
          h("tr", {}, h("th", { scope: "row" }, term.term), h("td", {}, h("span", { class: "bar", style: { "--share": `${(100 * term.score) / maxScore}%` } })), h("td", { class: "number" }, `${term.query_weight.toFixed(2)} × ${term.passage_weight.toFixed(2)} = ${term.score.toFixed(3)}`)))))
      : h("p", {}, "The passage has none of the query's terms."));
}

// --- what if: the ranking without some words of the query

function whatIf({ collection, hit, result, request }) {
  const pieces = request.query.split(/(\s+)/);
  const struck = new Set();
  const outcome = h("div", { "aria-live": "polite" });
  const before = new Map(result.hits.map((each) => [each.id, each.rank]));
  let running = null;
  const buttons = pieces.map((piece, place) =>
    piece.trim()
      ? h("button", { type: "button", class: "strike", "aria-pressed": "false", onclick: (event) => toggle(place, event.currentTarget) }, piece)
      : " ");
  async function toggle(place, button) {
    if (!struck.delete(place)) struck.add(place);
    button.setAttribute("aria-pressed", String(struck.has(place)));
    running?.abort();
    running = new AbortController();
    const query = pieces.filter((_, each) => !struck.has(each)).join("").trim();
    if (!query) return outcome.replaceChildren(h("p", { class: "dim" }, "The query has no words left."));
    try {
      const now = await api.search(collection, { ...request, query }, running.signal);
      outcome.replaceChildren(...movement(now));
    } catch (error) {
      if (error.name !== "AbortError") outcome.replaceChildren(h("p", { class: "warn" }, error.message));
    }
  }
  function movement(now) {
    const same = now.hits.find((other) => other.id === hit.id);
    const verdict = same ? `${hit.title || hit.id} is now number ${same.rank} (was ${hit.rank}), score ${same.score.toFixed(3)} (was ${hit.score.toFixed(3)}).` : `${hit.title || hit.id} is no longer on this page.`;
    return [h("p", {}, struck.size ? verdict : "The original query."), h("ol", { class: "moves", start: now.hits[0]?.rank || 1 }, now.hits.map((each) =>
      h("li", { class: each.id === hit.id ? "mine" : null }, rankChange(before.get(each.id), each.rank), " ", each.title || each.id)))];
  }
  return h("div", {},
    h("p", { class: "dim" }, "Click a word to remove it from the query, and see how the ranking changes."),
    h("p", { class: "strikes", role: "group", "aria-label": "Words of the query" }, buttons),
    outcome);
}
