// The routes of the service.  Each failure becomes a Problem; a Retry repeats requests after temporary ones.

/** The address of the service: a proxy may serve it below a path of its own. */
export const BASE = new URL("..", import.meta.url);
const KEY = `attendex-key ${BASE.pathname}`; // another service may share the origin
const TEMPORARY = [0, 429, 503]; // no answer, too many requests, unavailable
const NO_ANSWER = "The service does not answer. It may be restarting; the page tries again.";
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;

/** The bounds, the default and the usual values of the fusion weight, from the fusion table of the service. */
export const WEIGHT = JSON.parse(document.body.dataset.weight);

/** Whether the service keeps a query log. */
export const KEEPS_LOG = document.body.dataset.log === "true";

/** Whether the page offers answers. */
export const ANSWERS = document.body.dataset.answers === "true";

/** Whether the service has a reranker. */
export const RERANKS = document.body.dataset.reranks === "true";

let unstored = ""; // the key, if the browser forbids storage

export class Problem extends Error {
  constructor(status, title, { detail, code = "", retryAfter = 0 } = {}) {
    super(detail || title);
    Object.assign(this, { status, code, retryAfter });
  }
}

export function keyInUse() {
  try {
    return sessionStorage.getItem(KEY) || unstored;
  } catch {
    return unstored;
  }
}

export function useKey(key) {
  unstored = key;
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {
    // the browser forbids storage; the key holds for this page only
  }
}

const collectionPath = (name) => `v1/collections/${encodeURIComponent(name)}`;

export const api = {
  collections: (signal) => call("v1/collections", { signal }),
  collection: (name, signal) => call(collectionPath(name), { signal }),
  // the query log gets a search only if its body says so: not each letter that the user types
  search: (name, body, signal) => post(`${collectionPath(name)}/search`, { log: false, ...body }, signal),
  answer: (name, body, signal) => events(send(`${collectionPath(name)}/answer`, { method: "POST", body, signal })),
  click: (name, body) => post(`${collectionPath(name)}/events`, body),
  queries: (name, problem, signal) =>
    call(`${collectionPath(name)}/queries?${new URLSearchParams({ problem, k: 20 })}`, { signal }),
  explain: (name, body, signal) => post(`${collectionPath(name)}/explain`, body, signal),
  attention: (name, body, signal) => post(`${collectionPath(name)}/attention`, body, signal),
  // a parameter and no path: a browser changes a path with dots
  document: (name, id, signal) => call(`${collectionPath(name)}/documents?${new URLSearchParams({ id })}`, { signal }),
  overview: (name, signal) => call(`${collectionPath(name)}/overview`, { signal }),
  projection: (name, signal) => call(`${collectionPath(name)}/projection`, { signal }),
  judgments: (name, signal) => call(`${collectionPath(name)}/judgments`, { signal }),
  judge: (name, body) => call(`${collectionPath(name)}/judgments`, { method: "PUT", body }),
  measure: (name, body, signal) => post(`${collectionPath(name)}/judgments/measures`, body, signal),
  // synonyms or pins: {rules, tag}; a change with the tag of older rules is refused
  rules: async (name, kind, signal) => rulesOf(await send(`${collectionPath(name)}/${kind}`, { signal }), kind),
  replaceRules: async (name, kind, rules, tag) => {
    const more = tag ? { "If-Match": tag } : {};
    const body = { [kind]: rules };
    return rulesOf(await send(`${collectionPath(name)}/${kind}`, { method: "PUT", body, more }), kind);
  },
  originals: (name, ids, signal) =>
    call(`${collectionPath(name)}/originals?${new URLSearchParams(ids.map((id) => ["id", id]))}`, { signal }),
  originalPath: (name, id) => `${collectionPath(name)}/documents/${encodeURIComponent(id)}/original`,
  blob: async (path) => (await send(path, {})).blob(),
  upload: (name, form, onsent, signal) => sendForm(`${collectionPath(name)}/files`, form, onsent, signal),
  jobEvents: (name, id, last, signal) =>
    events(send(`${collectionPath(name)}/jobs/${id}/events`, { signal, more: last ? { "Last-Event-ID": last } : {} })),
  download: (name, file) => text(`${collectionPath(name)}/judgments/${file}`),
};

/** The body of a request that explains a hit of the search `request`. */
export const explainRequest = ({ query, syntax, mode, weight }, hit) => ({
  query,
  id: hit.id,
  ...(syntax ? { syntax } : {}),
  ...(mode ? { mode } : {}),
  ...(weight === undefined ? {} : { weight }),
  ...(hit.passages.length ? { start: hit.passages[0].start } : {}),
});

const rulesOf = async (response, kind) => {
  const { [kind]: rules } = await response.json();
  return { rules, tag: response.headers.get("ETag") };
};

const post = (path, body, signal) => call(path, { method: "POST", body, signal });

async function call(path, options = {}) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

/** Yield the server-sent events of an answer that is on its way: {id, name, data}. */
async function* events(coming) {
  const reader = (await coming).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const parts = (rest + read.value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const { id, event, data } = Object.fromEntries(part.split("\n").map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }));
      if (data) yield { id, name: event, data: JSON.parse(data) };
    }
  }
}

const text = async (path) => (await send(path, {})).text();

/** Send a form; `onsent(bytes)` tells how much of it is on the way, which fetch cannot. */
function sendForm(path, form, onsent, signal) {
  const request = new XMLHttpRequest();
  request.open("POST", new URL(path, BASE));
  for (const [name, value] of headersFor()) request.setRequestHeader(name, value);
  return new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", ({ loaded }) => onsent(loaded));
    request.addEventListener("error", () => reject(new Problem(0, NO_ANSWER)));
    request.addEventListener("abort", () => reject(new DOMException("The upload was ended", "AbortError")));
    request.addEventListener("load", async () => {
      const headers = { "Retry-After": request.getResponseHeader("Retry-After") || "" };
      const { status, responseText } = request;
      const answer = new Response(responseText || null, { status: status === 204 ? 200 : status, headers });
      if (answer.ok) resolve(await answer.json());
      else reject(await problemOf(answer));
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

async function send(path, { method = "GET", body, signal, more = {} }) {
  const headers = headersFor(body);
  for (const [name, value] of Object.entries(more)) headers.set(name, value);
  let response;
  try {
    response = await fetch(new URL(path, BASE), { method, headers, signal, body: JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, NO_ANSWER);
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  signal?.throwIfAborted(); // the body may be incomplete, and the view no longer waits for it
  throw problem;
}

function headersFor(body) {
  const headers = new Headers(body === undefined ? {} : { "Content-Type": "application/json" });
  try {
    if (keyInUse()) headers.set("Authorization", `Bearer ${keyInUse()}`);
  } catch {
    throw unauthorized(new Problem(401, "This key has characters that no key can have; copy it again."));
  }
  return headers;
}

async function problemOf(response) {
  const { title, detail, code } = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  const problem = new Problem(response.status, title || response.statusText, { detail, code, retryAfter });
  return response.status === 401 ? unauthorized(problem) : problem;
}

function unauthorized(problem) {
  document.dispatchEvent(new CustomEvent("key-needed", { detail: problem }));
  return problem;
}

/** Repeats a request after growing waits, not before the service allows it, and only while the page is visible. */
export class Retry {
  #waiting = new AbortController();
  #tries = 0;

  /** Call `run` after a wait and return true if the problem is temporary. */
  after(problem, run) {
    if (!TEMPORARY.includes(problem.status)) return false;
    this.cancel();
    const { signal } = (this.#waiting = new AbortController());
    const wait = Math.max(1000 * problem.retryAfter, Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++));
    setTimeout(() => {
      if (signal.aborted) return;
      if (document.hidden) document.addEventListener("visibilitychange", run, { once: true, signal });
      else run();
    }, wait);
    return true;
  }

  cancel() {
    this.#waiting.abort();
  }

  /** Note a success: the next wait is short again. */
  done() {
    this.cancel();
    this.#tries = 0;
  }
}

// --- the modes of a search: their names on the page, and the meaning of their scores

export const MODES = {
  hybrid: { label: "Both", name: "both", how: "by both", title: "Rank by meaning and by words, weighted for this query" },
  dense: { label: "Meaning", name: "meaning", how: "by meaning", unit: "cosine", title: "Rank by the vectors of the encoder" },
  lexical: { label: "Words", name: "words", how: "by words", unit: "BM25", title: "Rank by the words of the query (BM25)" },
  sparse: { label: "Terms", name: "terms", how: "by terms", unit: "sparse", title: "Rank by the weighted terms of the sparse encoder" },
};

/** The choices of modes that a collection offers, the default first: [[value, label, title]]. */
export function choices(modes) {
  const standard = modes.includes("hybrid") ? "hybrid" : "";
  const others = modes.filter((mode) => mode !== standard && MODES[mode]);
  const rows = others.map((mode) => [mode, MODES[mode].label, MODES[mode].title]);
  return standard ? [["", modes.includes("sparse") ? "All" : MODES.hybrid.label, MODES.hybrid.title], ...rows] : rows;
}
