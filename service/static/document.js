// A whole document in a dialog, its matching passages marked.

import { h, points, shown } from "./dom.js";
import { api } from "./api.js";
import { marked, marksOf } from "./hits.js";

/** `explained` is the explanation of the hit or a promise of it; it may be null. */
export async function show(collection, hit, explained) {
  if (document.querySelector("dialog[open]")) return; // a double click calls this twice
  const body = h("div", { class: "document" }, h("p", { class: "state" }, "Loading…"));
  const dialog = h("dialog", { "aria-label": hit.title || hit.id, onclose: () => dialog.remove() },
    h("div", { class: "sheet" },
      h("form", { method: "dialog", class: "close" }, h("button", { "aria-label": "Close" }, "✕")), body));
  closeBeside(dialog);
  document.body.append(dialog);
  dialog.showModal();
  try {
    const [{ documents: [found] }, explanation] = await Promise.all([api.document(collection, hit.id), explained]);
    if (found?.id !== hit.id) throw new Error("This document is no longer in the collection.");
    const open = (other) => (dialog.close(), show(collection, other, null));
    body.replaceChildren(...content(found, hit, explanation), similar(collection, hit, open));
    const place = body.querySelector("mark.best-mark") ?? body.querySelector("mark.best-passage");
    place?.scrollIntoView({ block: place.matches(".best-mark") ? "center" : "start" });
  } catch (error) {
    body.replaceChildren(h("p", { class: "state warn", role: "alert" }, error.message));
  }
}

const DOUBLE_CLICK_MS = 500;

/** Close the dialog on a click beside the sheet, but not on a click that began on the sheet (a selection of text),
 *  nor on the second half of the double click that opened it. */
function closeBeside(dialog) {
  const opened = performance.now();
  let beside = false;
  dialog.addEventListener("pointerdown", (event) => {
    beside = event.target === dialog && event.timeStamp - opened > DOUBLE_CLICK_MS;
  });
  dialog.addEventListener("click", (event) => beside && event.target === dialog && dialog.close());
}

function content(found, hit, explanation) {
  const best = hit.passages[0];
  const { start, end } = explanation ?? best ?? { start: 0, end: 0 };
  const explained = points(found.text).slice(start, end).join("");
  const marks = marksOf(explanation, explained)
    .map((mark) => ({ ...mark, start: start + mark.start, end: start + mark.end }));
  if (marks.length) marks.push({ ...marks[0], kind: "best-mark" });
  const several = hit.passages.length && (best.start > 0 || best.end < points(found.text).length);
  if (several) {
    marks.push(...hit.passages.map(({ start, end }) => ({ start, end, kind: "passage-mark" })));
    marks.push({ start: best.start, end: best.end, kind: "best-passage" });
  }
  const fields = [["id", found.id], ...Object.entries(found.metadata)];
  return [
    h("h2", { dir: "auto" }, found.title || found.id),
    h("dl", {}, fields.map(([name, value]) => [h("dt", {}, name), h("dd", { dir: "auto" }, shown(value))])),
    h("p", { class: "text", dir: "auto" }, marked(found.text, marks)),
  ];
}

const MAX_SIMILAR = 5;

/** A button that becomes a list of similar documents; a click on one calls `open(hit)`. */
function similar(collection, hit, open) {
  const section = h("section", { class: "similar" });
  const entry = (other) => h("li", {},
    h("button", { type: "button", class: "quiet", dir: "auto", onclick: () => open(other) }, other.title || other.id));
  const load = async () => {
    try {
      const { hits } = await api.search(collection, { query: "", like: [hit.id], k: MAX_SIMILAR });
      section.replaceChildren(h("h3", {}, "Similar documents"), h("ol", {}, hits.map(entry)));
    } catch (error) {
      section.replaceChildren(h("p", { class: "state warn", role: "alert" }, error.message));
    }
  };
  section.append(h("button", { type: "button", onclick: load }, "Similar documents"));
  return section;
}
