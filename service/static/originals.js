// Originals: the uploaded file of a hit, opened at the page of its best passage.

import { h } from "./dom.js";
import { BASE, api, keyInUse } from "./api.js";

const PAGE = /^p\. (\d+)/; // in the place of a passage
const KEPT_MS = 60_000; // for which the browser may load a file that was fetched with a key

/** Make the place of each hit with an original a link to the file. */
export async function linkOriginals(results, signal) {
  const { collection, result } = results;
  const ids = result.hits.map(({ id }) => id);
  const { originals } = await api.originals(collection, ids, signal);
  if (signal.aborted) return;
  for (const original of originals) {
    const foot = results.article(original.id)?.querySelector(".foot");
    const place = foot?.querySelector(".place");
    const link = linkTo(collection, original, place?.textContent ?? "");
    if (place) place.replaceWith(link);
    else foot?.prepend(link);
  }
}

function linkTo(collection, original, place) {
  const path = api.originalPath(collection, original.id);
  const page = original.media_type === "application/pdf" && PAGE.exec(place);
  const fragment = page ? `#page=${page[1]}` : "";
  return h("a", {
    class: "chip place", href: new URL(path, BASE).href + fragment, target: "_blank", rel: "noopener",
    title: `Open ${original.name}`, onclick: (event) => keyInUse() && openWithKey(event, path, original, fragment),
  }, place || "original");
}

/** A link sends no key: fetch the file, and open what was fetched. */
async function openWithKey(event, path, original, fragment) {
  event.preventDefault();
  const isShown = original.media_type !== "application/octet-stream";
  const tab = isShown ? open("", "_blank") : null; // at once: a browser blocks a later one
  try {
    const url = URL.createObjectURL(await api.blob(path));
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
    if (tab) tab.location = url + fragment;
    else h("a", { href: url, download: original.name.split("/").at(-1) }).click();
  } catch (error) {
    tab?.close();
    alert(error.message);
  }
}
