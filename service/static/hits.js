// One hit: title, best passage with its marks, metadata, parts of the score, change of rank.

import { h, points, shown } from "./dom.js";
import { MODES } from "./api.js";

/** Cut a text at the edges of its marks: [{start, end, kind}] in code points → nodes. */
export function marked(text, marks, from = 0, to = Infinity) {
  const letters = points(text);
  to = Math.min(to, letters.length);
  const edges = new Set([from, to]);
  for (const { start, end } of marks) for (const edge of [start, end]) if (edge > from && edge < to) edges.add(edge);
  const sorted = [...edges].sort((a, b) => a - b);
  const nodes = [];
  for (let i = 0; i + 1 < sorted.length; i++) {
    const [a, b] = [sorted[i], sorted[i + 1]];
    const over = marks.filter((mark) => mark.start <= a && mark.end >= b);
    const piece = letters.slice(a, b).join("");
    const kinds = [...new Set(over.map((mark) => mark.kind))].join(" ");
    nodes.push(kinds ? h("mark", { class: kinds }, piece) : piece);
  }
  return nodes;
}

const MAX_FIELDS = 6;
const MAX_CHARACTERS = 420; // shown of a passage
const MIN_SHARE = 0.05; // of the passage's cosine, for a span to be marked
const MAX_SPANS = 4;
const MAX_SHIFT = 40; // characters by which the cut moves to a word border

/** The part of a long passage to show: around its best mark, cut at word borders if there are any. */
function excerpt(letters, marks) {
  if (letters.length <= MAX_CHARACTERS) return [0, letters.length];
  const best = marks[0];
  const from = best ? Math.max(0, Math.min(best.start - 120, letters.length - MAX_CHARACTERS)) : 0;
  return [border(letters, from, -1), border(letters, Math.min(letters.length, from + MAX_CHARACTERS), 1)];
}

/** The nearest word border in one direction, or the position itself. */
function border(letters, position, step) {
  for (let at = position; Math.abs(at - position) <= MAX_SHIFT; at += step) {
    if (at <= 0 || at >= letters.length || !letters[step < 0 ? at - 1 : at].trim()) return at;
  }
  return position;
}

// Of English, as words and as stems.  In a collection they may be rarer than the words that matter.
const FUNCTION_WORDS = new Set((
  "a about an and ani any are as at be been but by can could did do doe does for from had has have he her his how i if in " +
  "into is it its me my no not of on or our she should so than that the their them then there these they this those to " +
  "was we were what when where which while who why whi will with would you your"
).split(" "));

const isTelling = (text) => {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) || [];
  return words.some((each) => !FUNCTION_WORDS.has(each));
};

/** Positions of the query's words in the passage, without function words and short words that add little. */
function wordsIn(explanation) {
  const terms = explanation?.lexical?.terms || [];
  const telling = terms.filter(({ term }) => isTelling(term));
  const most = Math.max(0, ...telling.map(({ score }) => score));
  return telling.filter(({ term, score }) => term.length > 3 || score > most / 4).flatMap(({ words }) => words);
}

/** The marks of a passage, the most telling first: [{start, end, kind}]; `text` is that of the passage. */
export function marksOf(explanation, text) {
  const letters = points(text);
  const spans = (explanation?.dense?.spans || [])
    .filter(({ start, end, score }) => score >= MIN_SHARE && isTelling(letters.slice(start, end).join("")));
  return [
    ...spans.slice(0, MAX_SPANS).map((span) => ({ ...span, kind: "meaning" })),
    ...wordsIn(explanation).map(([start, end]) => ({ start, end, kind: "word" })),
  ];
}

export function passageNodes(passage, explanation) {
  const marks = marksOf(explanation, passage.text);
  const letters = points(passage.text);
  const [from, to] = excerpt(letters, marks);
  return [from > 0 ? "… " : null, marked(passage.text, marks, from, to), to < letters.length ? " …" : null];
}

/** The hit's card.  `parts` may add `actions` (nodes) and `onfield(field, value)`. */
export function card(hit, { level = 2, actions = [], onfield, onopen, explanation } = {}) {
  const best = hit.passages[0];
  const title = hit.title || hit.id;
  const text = best ? passageNodes(best, explanation) : points(hit.text).slice(0, 300).join("");
  const opener = () => h("button", { type: "button", class: "title", dir: "auto", onclick: () => onopen(hit) }, title);
  return h(
    "article",
    { class: "hit", "data-id": hit.id, tabindex: "-1", "aria-label": `${hit.rank}. ${title}` },
    h(
      "div",
      { class: "head" },
      h("span", { class: "rank", "aria-hidden": "true" }, hit.rank),
      h(`h${level}`, { dir: "auto" }, onopen ? opener() : title),
      scoreOf(hit),
    ),
    h("p", { class: "passage", dir: "auto" }, text),
    h(
      "div",
      { class: "foot" },
      best?.location ? h("bdi", { class: "chip place" }, best.location) : null,
      title === hit.id ? null : h("bdi", { class: "chip id" }, hit.id),
      hit.pinned ? h("span", { class: "chip" }, "pinned") : null,
      hit.collapsed?.more ? h("span", { class: "chip" }, `+${hit.collapsed.more} similar`) : null,
      Object.entries(hit.metadata).filter(([, value]) => value !== hit.id).slice(0, MAX_FIELDS)
        .map(([field, value]) => chips(field, value, onfield)),
      h("span", { class: "gap" }),
      actions,
    ),
  );
}

function chips(field, value, onfield) {
  const values = Array.isArray(value) ? value : [value];
  return values.slice(0, 4).map((each) => {
    const content = [h("span", { class: "dim" }, `${field} `), h("bdi", {}, shown(each))];
    if (!onfield) return h("span", { class: "chip" }, content);
    const title = `Only ${field} ${shown(each)}`;
    return h("button", { type: "button", class: "chip", title, onclick: () => onfield(field, each) }, content);
  });
}

/** The score and its parts. */
export function scoreOf(hit) {
  const known = Object.entries(hit.scores || {})
    .filter(([mode, value]) => MODES[mode] && typeof value === "number")
    .map(([mode, value]) => [MODES[mode].name, value, MODES[mode].unit]);
  const part = ([name, value, unit]) => h("span", { class: name }, name === "meaning" ? "cos " : `${unit.toLowerCase()} `, value.toFixed(2));
  const title = known.map(([name, value, unit]) => `${name}: ${unit} ${value.toFixed(3)}`).join(", ");
  return h(
    "span",
    { class: "score", title },
    h("strong", {}, hit.score.toFixed(3)),
    known.length ? h("span", { class: "parts" }, known.map(part)) : null,
  );
}

export function legend(words) {
  return h(
    "p",
    { class: "legend", role: "group", "aria-label": "Colours" },
    h("mark", { class: "meaning" }, "carries the meaning"),
    words ? h("mark", { class: "word" }, "word of the query") : null,
  );
}

/** An arrow for a change of rank, with a text for screen readers. */
export function rankChange(from, to) {
  if (from === undefined) return h("span", { class: "move new" }, "new");
  if (from === to) return h("span", { class: "move", role: "img", "aria-label": "stays" }, "=");
  const up = to < from;
  const way = up ? "up" : "down";
  const by = `${up ? "↑" : "↓"}${Math.abs(from - to)}`;
  return h("span", { class: `move ${way}`, role: "img", "aria-label": `${way} from ${from}` }, by);
}
