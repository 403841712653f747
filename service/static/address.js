// The state of the page, kept in its address, so that a link opens the same page.

import { WEIGHT } from "./api.js";

const NAMES = {
  collection: "c", q: "q", syntax: "syntax", mode: "mode", weight: "w", filter: "f", sort: "sort", join: "join", rerank: "rerank", page: "p", why: "why",
};
const MAX_CHARACTERS = 8_000; // that servers accept; a longer address leaves the query out
const PAUSE_MS = 300; // browsers limit how often a page changes its address

let waiting = null; // the address to write when typing pauses
let timer = 0;
let finished = false; // the next address becomes a new entry of the history

export function read() {
  if (waiting !== null) put(waiting);
  const parameters = new URLSearchParams(location.search);
  const state = Object.fromEntries(Object.entries(NAMES).map(([name, short]) => [name, parameters.get(short) || ""]));
  const weight = Number(state.weight) >= WEIGHT.low && Number(state.weight) <= WEIGHT.high ? state.weight : "";
  const syntax = state.syntax === "operators" ? state.syntax : "";
  return { ...state, syntax, weight, page: Math.max(1, Number.parseInt(state.page, 10) || 1) };
}

export function query(state) {
  const parameters = new URLSearchParams();
  for (const [name, short] of Object.entries(NAMES)) {
    const value = state[name];
    if (value && !(name === "page" && value === 1)) parameters.set(short, value);
  }
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

/** Write the state into the address; `step` adds an entry to the history. */
export function write(state, { step = false } = {}) {
  put(query(state), { step });
}

/** Write a query string into the address when typing pauses. */
export function putSoon(parameters) {
  waiting = parameters;
  clearTimeout(timer);
  timer = setTimeout(() => put(parameters), PAUSE_MS);
}

/** Write the state, and keep it as an entry of the history. */
export function finish(state) {
  write(state);
  finished = true;
}

/** Drop a waiting write: the browser has changed the address. */
export function forget() {
  waiting = null;
  clearTimeout(timer);
  finished = true;
}

function put(parameters, { step = false } = {}) {
  waiting = null;
  clearTimeout(timer);
  const address = location.pathname + short(parameters);
  if (address === location.pathname + location.search) return;
  try {
    history[step || finished ? "pushState" : "replaceState"](null, "", address);
    finished = false;
  } catch {
    // too many changes for this browser; the next one succeeds
  }
}

function short(text) {
  if (location.pathname.length + text.length <= MAX_CHARACTERS) return text;
  const parameters = new URLSearchParams(text);
  parameters.delete("q");
  return `?${parameters}`;
}
