// Uploads: a place to drop files, a button to choose them, and the progress of each file.

import { bytes, h, plural } from "./dom.js";
import { api } from "./api.js";

const MAX_FILES = 100; // of one request
const MAX_BYTES = 100_000_000; // of one request, unless one file is larger
const STATES = { read: "searchable", skipped: "no document", failed: "failed" };

/** A section that uploads files into a collection; `added()` is called when there are new documents. */
export function uploadSection(collection, { added, signal }) {
  const list = h("ul", { class: "uploads", "aria-label": "Files" });
  const status = h("p", { role: "status", "aria-live": "polite" });
  const keep = h("input", { type: "checkbox" });
  const input = h("input", { type: "file", multiple: true, id: "upload-files", class: "unseen" });
  const take = async (files) => {
    input.value = ""; // the same file may be chosen again
    if (!files.length) return;
    const rows = files.map((file) => new Row(file));
    list.prepend(...rows.map((row) => row.element));
    status.replaceChildren(`Uploading ${plural(files.length, "file")}…`);
    for (const part of parts(rows)) await send(collection, part, keep.checked, signal);
    const good = rows.filter((row) => row.state === "read").length;
    const bad = rows.length - good;
    status.replaceChildren(
      good ? `${plural(good, "file")} can be searched. ` : "",
      bad ? h("strong", { class: "warn" }, `${plural(bad, "file")} could not be added; the list says why.`) : "");
    list.prepend(...rows.filter((row) => row.state !== "read").map((row) => row.element));
    if (good) added();
  };
  input.addEventListener("change", () => take([...input.files]));
  const zone = h("div", { class: "drop" },
    h("p", {}, input, h("label", { for: input.id, class: "button" }, "Choose files"), " or drop them here"),
    h("p", {}, h("label", {}, keep, " Keep the originals, to open them from a hit")));
  listen(zone, signal, take, (folder) => status.replaceChildren(
    h("strong", { class: "warn" }, `“${folder}” is a folder. Open it, and drop its files.`)));
  return h("section", { class: "upload" }, h("h2", {}, "Add files"), zone, status, list);
}

/** Take dropped files; a drop beside the zone must not replace the page. */
function listen(zone, signal, take, refuse) {
  const mark = (on) => zone.classList.toggle("over", on);
  const within = (event) => zone.contains(event.target);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.dataTransfer.dropEffect = within(event) ? "copy" : "none";
    mark(within(event));
  }, { signal });
  document.addEventListener("dragleave", () => mark(false), { signal });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (!within(event)) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const folder = entries.find((entry) => entry?.isDirectory);
    if (folder) refuse(folder.name);
    else take([...event.dataTransfer.files]);
  }, { signal });
}

/** One file of the list. */
class Row {
  constructor(file) {
    Object.assign(this, { file, state: "" });
    this.bar = h("progress", { max: 1, value: 0, "aria-label": `Progress of ${file.name}` });
    this.note = h("span", { class: "dim" }, "waits");
    this.element = h("li", {},
      h("bdi", { class: "name" }, file.name), h("span", { class: "dim" }, bytes(file.size)), this.bar, this.note);
  }

  /** Show a step; `share` of the transfer is done. */
  show(note, share) {
    this.note.replaceChildren(note);
    if (share !== undefined) this.bar.value = share;
  }

  /** Show the result: a state of STATES, and the reason. */
  end(state, reason) {
    this.state = state;
    this.bar.hidden = true;
    this.element.classList.add(state);
    this.note.classList.toggle("warn", state !== "read");
    this.note.replaceChildren(reason ? `${STATES[state]}: ${reason}` : STATES[state]);
  }
}

/** Split the rows into requests of bounded size. */
function parts(rows) {
  const found = [];
  let size = Infinity;
  for (const row of rows) {
    size += row.file.size;
    if (size > MAX_BYTES || found.at(-1).length === MAX_FILES) {
      found.push([]);
      size = row.file.size;
    }
    found.at(-1).push(row);
  }
  return found;
}

/** Upload the files of some rows, and follow the job until it ends. */
async function send(collection, rows, keep, signal) {
  const form = new FormData();
  const files = Object.fromEntries(rows.map(({ file }) =>
    [file.name, { modified: new Date(file.lastModified).toISOString() }]));
  form.append("options", JSON.stringify({ files, keep }));
  for (const { file } of rows) form.append("files", file, file.name);
  try {
    const job = await api.upload(collection, form, (sent) => transferred(rows, sent), signal);
    for (const row of rows) row.show("waits to be read", 1);
    finish(rows, await followed(collection, job, rows, signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    for (const row of rows) if (!row.state) row.end("failed", error.message);
  }
}

/** Show the transfer: the files are sent one after the other. */
function transferred(rows, sent) {
  for (const row of rows) {
    const share = row.file.size ? Math.max(0, Math.min(1, sent / row.file.size)) : 1;
    row.show(share < 1 ? `sent ${Math.round(100 * share)} %` : "sent", share);
    sent -= row.file.size;
  }
}

/** Follow the events of a job, also when a stream ends early; return the job. */
async function followed(collection, { id }, rows, signal) {
  let last = "";
  for (;;) {
    for await (const { id: event, name, data } of api.jobEvents(collection, id, last, signal)) {
      last = event;
      if (name === "done" || name === "failed") return data;
      const row = rows.find(({ file }) => file.name === data.file);
      if (name === "reading") row?.show("is read…");
      if (name === "parsed") row?.show(data.status === "read" ? "read, is encoded…" : STATES[data.status]);
    }
  }
}

function finish(rows, job) {
  const results = [...job.files];
  for (const row of rows) {
    const at = results.findIndex(({ name }) => name === row.file.name.normalize("NFC"));
    const [result] = at < 0 ? [] : results.splice(at, 1);
    if (job.status === "failed" && !result) row.end("failed", job.error);
    else row.end(result?.status ?? "read", result?.reason);
  }
}
