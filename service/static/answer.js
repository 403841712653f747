// An answer above the hits: sentences as they come, with citations that open the passage in its document.

import { h } from "./dom.js";
import { Problem, api } from "./api.js";

export async function show(section, { collection, request, signal }) {
  const { query, filter, syntax, mode, weight } = request;
  const body = { query, filter, log: false, ...(syntax ? { syntax } : {}), ...(mode ? { mode } : {}) };
  if (weight !== undefined) body.weight = weight;
  const said = h("p", { "aria-live": "polite", dir: "auto" }, h("span", { class: "dim" }, "Reading…"));
  section.replaceChildren(said);
  section.setAttribute("aria-busy", "true");
  try {
    await write(said, collection, api.answer(collection, body, signal));
  } catch (error) {
    if (!(error instanceof Problem)) {
      if (error.name === "AbortError") return;
      throw error;
    }
    said.append(h("strong", { class: "warn" }, ` ${error.message}`));
  } finally {
    section.removeAttribute("aria-busy");
  }
}

async function write(said, collection, events) {
  let context = null;
  for await (const { name, data: content } of events) {
    if (name === "error") throw new Problem(content.status, content.title, content);
    if (name === "context") context = content;
    if (name === "sentence") {
      said.querySelector(".dim:only-child")?.remove();
      said.append(sentence(content, context, collection), " ");
    }
    if (name === "done" && !content.found) said.replaceChildren(content.answer);
    if (name === "done" && content.finish === "length") said.append(h("span", { class: "dim" }, "(shortened)"));
  }
}

function sentence({ text, citations, supported }, context, collection) {
  const titles = new Map(context.citations.map(({ id, title, document }) => [id, title || document]));
  const cite = (support) => h("button", {
    type: "button", class: "quiet cite", title: support.text, onclick: () => open(collection, support, titles.get(support.id)),
    "aria-label": `Passage ${support.id}, ${titles.get(support.id)}`,
  }, `[${support.id}]`);
  const doubt = supported ? null : h("span", { class: "warn" }, " (no passage supports this)");
  return h("span", { class: supported ? null : "unsupported" }, text, doubt, citations.map((each) => [" ", cite(each)]));
}

async function open(collection, { document: id, start, end }, title) {
  const { show: showDocument } = await import("./document.js");
  showDocument(collection, { id, title, passages: [{ start, end }] }, null);
}
