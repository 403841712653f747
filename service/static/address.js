// The state of the page is its address, so that a link opens it again.

const NAMES = { collection: "c", q: "q", mode: "mode", weight: "w", filter: "f", sort: "sort", page: "p", why: "why" };

export function read() {
  const parameters = new URLSearchParams(location.search);
  const state = Object.fromEntries(Object.entries(NAMES).map(([name, short]) => [name, parameters.get(short) || ""]));
  return { ...state, page: Math.max(1, Number.parseInt(state.page, 10) || 1) };
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
  const address = location.pathname + query(state);
  if (address === location.pathname + location.search) return;
  history[step ? "pushState" : "replaceState"](null, "", address);
}
