// A score as a sum over pairs of words: of the cosine, or of late interaction.

import { h, plural } from "./dom.js";

const HEAT_COLUMNS = 16;

// --- the words of the query, and the passage tinted by their shares

const isWord = (word) => word.place !== "special" && word.place !== "prompt";

/** Tints from 0 for the median score to 1 for the largest. */
function tints(scores) {
  const sorted = [...scores].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const top = sorted.at(-1) ?? 0;
  return scores.map((score) => (top > median ? Math.max(0, (score - median) / (top - median)) : 0));
}

const tint = (element, heat) => element.style.setProperty("--heat", heat.toFixed(3));

/** The words of query and passage by their shares of a score, which `name` names. */
export function tintedWords(dense, name) {
  const query = dense.query.map((word, row) => ({ ...word, row })).filter(isWord);
  const passage = dense.passage.map((word, column) => ({ ...word, column })).filter(isWord);
  const maxScore = Math.max(...query.map((word) => word.score), 1e-9);
  const chips = query.map((word) =>
    h("button", { type: "button", class: "query-word", "aria-pressed": "false", style: { "--share": `${Math.max(0, (100 * word.score) / maxScore).toFixed(1)}%` }, title: `${word.word}: ${word.score.toFixed(4)} of ${dense.score.toFixed(4)}` },
      word.word, h("small", {}, word.score.toFixed(3))));
  const spots = passage.map((word) => h("span", { class: "passage-word", title: `${word.word}: ${word.score.toFixed(4)}` }, word.word));
  let pinned = -1;
  const paintAll = () => paint(spots, passage.map((word) => word.score));
  const paintRow = (at) => paint(spots, passage.map((word) => dense.pairs[query[at].row][word.column]));
  const rest = () => (pinned < 0 ? paintAll() : paintRow(pinned));
  if (dense.pairs.length) {
    chips.forEach((chip, at) => {
      for (const name of ["pointerenter", "focus"]) chip.addEventListener(name, () => paintRow(at));
      for (const name of ["pointerleave", "blur"]) chip.addEventListener(name, rest);
      chip.addEventListener("click", () => {
        pinned = pinned === at ? -1 : at;
        chips.forEach((each, place) => each.setAttribute("aria-pressed", String(place === pinned)));
        rest();
      });
    });
    spots.forEach((spot, at) => {
      spot.addEventListener("pointerenter", () => paint(chips, query.map((word) => dense.pairs[word.row][passage[at].column])));
      spot.addEventListener("pointerleave", () => chips.forEach((chip) => tint(chip, 0)));
    });
  } else chips.forEach((chip) => (chip.disabled = true));
  paintAll();
  return h("div", { class: "meaning-tab" },
    h("p", { class: "dim" }, dense.pairs.length ? "Point at a word of the query to see the words of the passage that match it. Darker words add more to the score." : dense.note),
    h("div", { class: "query-words", role: "group", "aria-label": "Words of the query" }, chips),
    h("p", { class: "tinted", dir: "auto" }, flowing(passage, spots)),
    dense.exact ? h("p", { class: "dim fine" }, ledger(dense, name)) : null);
}

function paint(elements, scores) {
  tints(scores).forEach((heat, place) => tint(elements[place], heat));
}

/** Words with the spaces of the text; a dot separates title, heading and text. */
function flowing(words, spots) {
  const nodes = [];
  words.forEach((word, at) => {
    const before = words[at - 1];
    if (before && before.place !== word.place) nodes.push(h("span", { class: "dim" }, " · "));
    else if (before && word.start > before.end) nodes.push(" ");
    nodes.push(spots[at]);
  });
  return nodes;
}

/** The parts of the sum that belong to no word of the text. */
function ledger(dense, name) {
  const sum = (words) => words.reduce((total, word) => total + word.score, 0);
  const specials = dense.passage.filter((word) => word.place === "special");
  const prompts = dense.passage.filter((word) => word.place === "prompt");
  const lines = [`The shares of all words add up to the ${name} exactly: ${sum(dense.passage).toFixed(4)}`];
  if (specials.length) lines.push(`of which ${sum(specials).toFixed(4)} belongs to the encoder's special tokens`);
  if (prompts.length) lines.push(`${sum(prompts).toFixed(4)} to the prompt`);
  if (Math.abs(dense.remainder) >= 5e-5) lines.push(`${dense.remainder.toFixed(4)} to the rounding of stored vectors, spread evenly`);
  return `${lines.join(", ")}.`;
}

// --- the matrix of pairs

export function heatMap(dense, name) {
  const rows = dense.query.map((word, row) => ({ ...word, row })).filter(isWord);
  const all = dense.passage.map((word, column) => ({ ...word, column })).filter(isWord);
  const best = [...all].sort((a, b) => b.score - a.score).slice(0, HEAT_COLUMNS);
  const strongest = new Set(best.map((word) => word.column));
  const columns = all.filter((word) => strongest.has(word.column));
  const heats = tints(rows.flatMap((row) => columns.map((column) => dense.pairs[row.row][column.column])));
  const cell = (row, column, place) => {
    const value = dense.pairs[row.row][column.column];
    const td = h("td", { title: `${row.word} × ${column.word}: ${value.toFixed(4)}` }, (100 * value).toFixed(1).replace("-0.0", "0.0"));
    tint(td, heats[place]);
    return td;
  };
  return h("div", {},
    h("p", { class: "dim" }, `Share of each pair in the ${name}, in hundredths: the ${columns.length} strongest of ${plural(all.length, "word")} of the passage, in reading order.`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Pairs of words" },
      h("table", { class: "heat" },
        h("thead", {}, h("tr", {}, h("td", {}), columns.map((word) => h("th", { scope: "col" }, h("span", {}, word.word))))),
        h("tbody", {}, rows.map((row, r) => h("tr", {}, h("th", { scope: "row" }, row.word), columns.map((column, c) => cell(row, column, r * columns.length + c))))))));
}
