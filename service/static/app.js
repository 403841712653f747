// The frame of every page: header, theme, key, and the view of the address.

import { h } from "./dom.js";
import { BASE, Problem, Retry, api, keyInUse, useKey } from "./api.js";
import * as address from "./address.js";
import * as search from "./search.js";

const THEME = "attendex-theme";
const main = document.getElementById("main");
const retry = new Retry();
let shown = new AbortController(); // aborted when another view replaces this one

const VIEWS = [
  { path: BASE.pathname, label: "Search", open: async () => search },
  { path: `${BASE.pathname}side-by-side`, label: "Side by side", open: () => import("./compare.js") },
  { path: `${BASE.pathname}collection`, label: "Collection", open: () => import("./collection.js") },
];

setTheme(stored(THEME));
document.addEventListener("key-needed", (event) => askForKey(event.detail));
start();

async function start() {
  shown.abort();
  const { signal } = (shown = new AbortController());
  retry.cancel();
  const view = VIEWS.find((each) => each.path === location.pathname) || VIEWS[0];
  drawHeader(view, []);
  try {
    const { collections } = await api.collections(signal);
    const collection = chosen(collections);
    if (!collection) return;
    drawHeader(view, collections, collection);
    const module = await view.open();
    await module.open(main, { collection, collections, signal });
    retry.done();
  } catch (error) {
    fail(error);
  }
}

/** The collection in the address, or the first; "" after showing a message if there is none. */
function chosen(collections) {
  const wanted = address.read().collection;
  const known = collections.some((each) => each.name === wanted);
  if (!collections.length) {
    say("The service has no collection yet. To make one, run ", h("code", {}, "attendex index FILE --into DIR"), ".");
  } else if (wanted && !known) {
    say(`The service has no collection “${wanted}”.`, " ", h("a", { href: BASE.pathname }, "Search another collection."));
  } else {
    return wanted || collections[0].name;
  }
  return "";
}

function fail(error) {
  if (error.status === 401 || error.name === "AbortError") return;
  say(error.message, " ", h("button", { type: "button", onclick: start }, "Try again"));
  if (!(error instanceof Problem)) throw error;
  retry.after(error, start);
}

function drawHeader(view, collections, current) {
  const link = (each) => {
    const state = { ...address.read(), page: 1, why: "", collection: current };
    const here = each === view ? "page" : null;
    return h("a", { href: each.path + address.query(state), "aria-current": here, "data-view": each.path }, each.label);
  };
  const choice = h(
    "select",
    { id: "collection", "aria-label": "Collection", onchange: (event) => open(view, event.target.value) },
    collections.map((each) => h("option", { value: each.name, selected: each.name === current }, each.name)),
  );
  document.getElementById("top").replaceChildren(...[
    h("a", { class: "mark", href: BASE.pathname }, "Attendex"),
    collections.length ? choice : null,
    h("nav", { "aria-label": "Views" }, VIEWS.map(link)),
    h("span", { class: "gap" }),
    keyInUse() ? h("button", { type: "button", class: "quiet", onclick: forgetKey }, "Forget key") : null,
    h("button", {
      type: "button", class: "quiet", id: "theme", "aria-label": "Switch between dark and light", onclick: switchTheme,
    }, "◐"),
  ].filter(Boolean));
  // the browser may keep the page when the user leaves it, and show it again later
  addEventListener("pagehide", () => (choice.value = current), { signal: shown.signal });
  // the query may have changed since the header was drawn
  document.querySelector("nav").addEventListener("pointerdown", refreshLinks);
  document.querySelector("nav").addEventListener("focusin", refreshLinks);
  function refreshLinks(event) {
    const target = event.target.closest("a");
    const found = VIEWS.find((each) => each.path === target?.dataset.view);
    if (found) target.href = link(found).href;
  }
}

function open(view, collection) {
  location.assign(view.path + address.query({ q: address.read().q, collection }));
}

function say(...content) {
  main.replaceChildren(h("h1", { class: "unseen" }, "Attendex"), h("p", { class: "state", role: "status" }, content));
}

// --- theme: that of the system until the user switches it

function stored(name) {
  try {
    return localStorage.getItem(name) || "";
  } catch {
    return ""; // storage may be forbidden
  }
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function switchTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (document.documentElement.dataset.theme || system) === "dark" ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // the browser forbids storage; the theme holds for this page only
  }
}

// --- key: requested after a 401, kept for this tab only

function askForKey(problem) {
  if (document.getElementById("key")) return; // the user may be typing
  shown.abort();
  const field = h("input", {
    type: "password", id: "key", autocomplete: "off", required: true, "aria-describedby": "key-why",
  });
  const why = keyInUse() ? problem.message : "The key is kept for this tab only, and sent to this service only.";
  const submit = (event) => {
    event.preventDefault();
    useKey(field.value.trim());
    say("Loading…");
    start();
  };
  main.replaceChildren(
    h(
      "form",
      { class: "state key", onsubmit: submit },
      h("h1", {}, "This service needs a key"),
      h("p", { id: "key-why" }, why),
      h("label", { for: "key" }, "Key"),
      field,
      h("button", { type: "submit" }, "Use it"),
    ),
  );
  field.focus();
}

function forgetKey() {
  useKey("");
  start();
}
