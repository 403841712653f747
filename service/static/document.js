// A whole document in a dialog, its matching passages marked.

import { h, points, shown } from "./dom.js";
import { api } from "./api.js";
import { marked, wordsIn } from "./hits.js";

/** `explained` is the hit's explanation, one that will come, or null. */
export async function show(collection, hit, explained) {
  const body = h("div", { class: "document" }, h("p", { class: "state" }, "Loading…"));
  const dialog = h("dialog", { "aria-label": hit.title || hit.id, onclose: () => dialog.remove() },
    h("form", { method: "dialog", class: "close" }, h("button", { "aria-label": "Close" }, "✕")), body);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const [found, explanation] = await Promise.all([api.document(collection, hit.id), explained]);
    body.replaceChildren(...content(found, hit, explanation));
    body.querySelector("mark")?.scrollIntoView({ block: "center" });
  } catch (error) {
    body.replaceChildren(h("p", { class: "state warn" }, error.message));
  }
}

function content(found, hit, explanation) {
  const best = hit.passages[0];
  const inPassage = (offset) => (explanation ? explanation.start : best.start) + offset;
  const marks = [
    ...(explanation?.dense?.spans || []).slice(0, 3).map((span) => ({ start: inPassage(span.start), end: inPassage(span.end), kind: "meaning" })),
    ...wordsIn(explanation).map(([start, end]) => ({ start: inPassage(start), end: inPassage(end), kind: "word" })),
  ];
  const several = hit.passages.length && (best.start > 0 || best.end < points(found.text).length);
  if (several) marks.push(...hit.passages.map((passage) => ({ start: passage.start, end: passage.end, kind: "passage-mark" })));
  const fields = Object.entries(found.metadata);
  return [
    h("h2", {}, found.title || found.id),
    h("dl", {}, [["id", found.id], ...fields].map(([name, value]) => [h("dt", {}, name), h("dd", {}, shown(value))])),
    h("p", { class: "text" }, marked(found.text, marks)),
  ];
}
