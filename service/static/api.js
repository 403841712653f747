// The service's routes.  Errors become a Problem, whatever went wrong.

const KEY = "attendex-key";

export class Problem extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail || title);
    Object.assign(this, { status, title, detail, errors });
  }
}

export const keyInUse = () => sessionStorage.getItem(KEY) || "";
export const useKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

const collectionPath = (name) => `/v1/collections/${encodeURIComponent(name)}`;

export const api = {
  collections: (signal) => call("/v1/collections", { signal }),
  collection: (name, signal) => call(collectionPath(name), { signal }),
  search: (name, body, signal) => post(`${collectionPath(name)}/search`, body, signal),
  explain: (name, body, signal) => post(`${collectionPath(name)}/explain`, body, signal),
  attention: (name, body, signal) => post(`${collectionPath(name)}/attention`, body, signal),
  document: (name, id, signal) => call(`${collectionPath(name)}/documents/${id.split("/").map(encodeURIComponent).join("/")}`, { signal }),
  overview: (name, signal) => call(`${collectionPath(name)}/overview`, { signal }),
  projection: (name, signal) => call(`${collectionPath(name)}/projection`, { signal }),
  judgments: (name, signal) => call(`${collectionPath(name)}/judgments`, { signal }),
  judge: (name, body) => call(`${collectionPath(name)}/judgments`, { method: "PUT", body }),
  measure: (name, body, signal) => post(`${collectionPath(name)}/judgments/measures`, body, signal),
  download: (name, file) => text(`${collectionPath(name)}/judgments/${file}`),
};

const post = (path, body, signal) => call(path, { method: "POST", body, signal });

async function call(path, options = {}) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

const text = async (path) => (await send(path, {})).text();

async function send(path, { method = "GET", body, signal }) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (keyInUse()) headers.Authorization = `Bearer ${keyInUse()}`;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The service does not answer. It may be restarting; the page tries again.");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const found = await response.json().catch(() => ({}));
  const problem = new Problem(response.status, found.title || response.statusText, found.detail, found.errors);
  if (response.status === 401) document.dispatchEvent(new CustomEvent("key-needed", { detail: problem }));
  return problem;
}
