// The collection view: counts, fields, encoder, generations, and a map of the vectors.

import { bytes, count, entitle, h, plural, shown } from "./dom.js";
import { KEEPS_LOG, api } from "./api.js";
import { map } from "./map.js";
import { ruleSections } from "./rules.js";

export async function open(main, { collection, signal }) {
  entitle("Collection", collection);
  const both = [api.collection(collection, signal), api.overview(collection, signal)];
  const [details, overview] = await Promise.all(both);
  const loading = h("p", { class: "state", role: "status" }, "Placing the vectors…");
  const logged = KEEPS_LOG ? await loggedQueries(collection, signal) : null;
  const placeholder = h("section", {}, h("h2", {}, "Map"), loading);
  let shownFigures = figures(details);
  const added = async () => {
    const now = figures(await api.collection(collection, signal));
    shownFigures.replaceWith(now);
    shownFigures = now;
  };
  const upload = details.writable
    ? (await import("./upload.js")).uploadSection(collection, { added, signal }) : null;
  main.replaceChildren(
    h("div", { class: "collection" },
      h("h1", { dir: "auto" }, collection),
      shownFigures,
      upload,
      placeholder,
      logged,
      ruleSections(collection, details, { saved: added, signal }),
      fields(overview.fields, details),
      encoder(details.fingerprint),
      generations(overview.generations)));
  placeholder.replaceWith(await map(collection, details, signal));
}

function figures(details) {
  return h("dl", { class: "figures" }, [
    ["documents", count(details.documents)],
    ["passages", count(details.passages)],
    ["dimensions", count(details.fingerprint.dimension)],
    ["on disk", bytes(details.size_bytes)],
    ["generation", count(details.generation)],
  ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function fields(known, { expires, searched_fields: weights }) {
  if (!known.length) return null;
  const value = (field, { value: each, count: number }, most) =>
    h("li", { style: { "--share": `${(100 * number) / most}%` } },
      h("bdi", {}, shown(each)), h("span", { class: "dim" }, count(number)));
  const uses = ({ name }) =>
    (name in weights ? `, searched with weight ${weights[name]}` : "") +
    (name === expires ? ", tells when a document expires" : "");
  const about = (field) =>
    h("small", { class: "dim" }, ` ${field.type}, in ${plural(field.documents, "document")}${uses(field)}`);
  const range = ({ least, most }) => (least === null ? "no values" : `${shown(least)} to ${shown(most)}`);
  return h("section", {}, h("h2", {}, "Fields"), h("div", { class: "fields" }, known.map((field) =>
    h("section", {}, h("h3", {}, field.name, about(field)),
      field.values.length
        ? h("ul", {}, field.values.slice(0, 10).map((each) => value(field.name, each, field.values[0].count)))
        : h("p", { class: "dim" }, range(field)),
      field.different > 10 ? h("p", { class: "dim" }, `and ${count(field.different - 10)} more values`) : null))));
}

const PROBLEMS = { zero_hits: "Queries without hits", low_confidence: "Queries with nothing close" };

/** The frequent queries of the query log that went wrong; nothing for a key that may not read it. */
async function loggedQueries(collection, signal) {
  const problems = Object.keys(PROBLEMS);
  const loading = problems.map((problem) => api.queries(collection, problem, signal));
  const found = await Promise.all(loading).catch((error) => {
    if (error.status === 403) return null;
    throw error;
  });
  return found && h("section", { class: "logged" }, h("h2", {}, "Query log"),
    h("p", { class: "dim" }, `${plural(found[0].searches, "search", "searches")}, ${plural(found[0].clicks, "click")}`),
    problems.map((problem, i) => queryTable(collection, problem, found[i].queries)));
}

function queryTable(collection, problem, queries) {
  if (!queries.length) return h("p", {}, `${PROBLEMS[problem]}: none`);
  const heads = ["query", "times", "of searches", "last"];
  const link = (query) => h("a", { href: `.?${new URLSearchParams({ c: collection, q: query })}`, dir: "auto" }, query);
  const number = (value) => h("td", { class: "number" }, count(value));
  const row = (each) => h("tr", {}, h("td", {}, link(each.query)), number(each[problem]), number(each.searches),
    h("td", {}, new Date(each.last).toLocaleString()));
  return h("div", { class: "scroll" }, h("table", { class: "list" }, h("caption", {}, PROBLEMS[problem]),
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, queries.map(row))));
}

function encoder(fingerprint) {
  return h("section", {}, h("h2", {}, "Encoder"),
    h("p", { class: "dim" }, "Only this encoder can open the collection; any other is refused."),
    h("dl", { class: "rows" }, Object.entries(fingerprint).map(([name, value]) => [
      h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, h("code", {}, value === "" ? "none" : String(value)))])));
}

function generations(known) {
  const heads = ["generation", "committed", "documents", "size"];
  const number = (text) => h("td", { class: "number" }, text);
  const row = (each) => h("tr", {},
    h("td", {}, each.generation, each.current ? h("strong", {}, " open") : ""),
    h("td", {}, new Date(each.committed).toLocaleString()),
    number(count(each.documents)), number(bytes(each.size_bytes)));
  return h("section", {}, h("h2", {}, "Generations"),
    h("div", { class: "scroll" }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, known.map(row)))));
}
