// The state of the page is its address, so that a link opens it again.

const NAMES = { collection: "c", q: "q", mode: "mode", weight: "w", filter: "f", sort: "sort", page: "p", why: "why" };
const LONGEST = 8_000; // characters that servers take; a query that would pass it is left out
const PAUSE_MS = 300; // browsers forbid to write the address at each key

let waiting = null; // an address to be written when typing pauses
let timer = 0;
let finished = false; // what stands in the address is to be kept: the next one is another step

export function read() {
  if (waiting !== null) put(waiting);
  const parameters = new URLSearchParams(location.search);
  const state = Object.fromEntries(Object.entries(NAMES).map(([name, short]) => [name, parameters.get(short) || ""]));
  const weight = Number(state.weight) >= 0 && Number(state.weight) <= 1 ? state.weight : "";
  return { ...state, weight, page: Math.max(1, Number.parseInt(state.page, 10) || 1) };
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

/** Put the state into the address; `step` makes it one that the back button returns to. */
export function write(state, { step = false } = {}) {
  put(query(state), { step });
}

/** Put a query string into the address when typing pauses. */
export function putSoon(parameters) {
  waiting = parameters;
  clearTimeout(timer);
  timer = setTimeout(() => put(parameters), PAUSE_MS);
}

/** Keep the state for the back button, whatever comes next. */
export function finish(state) {
  write(state);
  finished = true;
}

/** The address changed by itself: what was to be written into the one before is forgotten. */
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
    // too often for this browser; the next one will be written
  }
}

function short(text) {
  if (location.pathname.length + text.length <= LONGEST) return text;
  const parameters = new URLSearchParams(text);
  parameters.delete("q");
  return `?${parameters}`;
}
