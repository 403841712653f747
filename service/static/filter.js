// Completion in the filter box: fields, then their values, then AND, OR, NOT.

import { h } from "./dom.js";
import { named, quoted, tokens } from "./clauses.js";

const OPERATORS = {
  string: ["=", "!=", "IN [", "STARTS WITH", "CONTAINS"],
  strings: ["=", "!=", "IN [", "STARTS WITH", "CONTAINS"],
  number: ["=", ">=", "<=", ">", "<"],
  date: [">=", "<", "=", "> now-7d"],
  boolean: ["= true", "= false"],
  numbers: ["=", ">=", "<=", ">", "<"],
  dates: [">=", "<", "=", "> now-7d"],
  booleans: ["= true", "= false"],
};
const OPEN = String.raw`"(?:[^"\\]|\\.)*`; // quoted text, closed or open
const FIELD = String.raw`([\p{L}_][\p{L}\p{N}_.-]*|${OPEN}")`;
const LIST = String.raw`(?:NOT\s+)?IN\s*\[(?:(?:\s*${OPEN}"\s*|[^"\],]*),)*`;
const AFTER_FIELD = new RegExp(String.raw`${FIELD}\s+$`, "u");
const AFTER_OPERATOR = new RegExp(String.raw`${FIELD}\s*(?:==|!=|<=|>=|=|<|>|STARTS\s+WITH|CONTAINS|${LIST})\s*(${OPEN}|[^"\s\],]*)$`, "iu");

let number = 0;

/** Make `input` a combobox.  `values(field)` gives known values; `change` is called after a completion. */
export function attach(input, { fields, values, change }) {
  const id = `completions-${++number}`;
  const list = h("ul", { id, class: "completions", role: "listbox", "aria-label": "Completions", hidden: true });
  input.after(list);
  const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-controls": id, "aria-expanded": "false" };
  for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
  let active = -1;
  let offered = { before: "", typed: "", items: [] };
  let latest = 0;

  async function offer() {
    const current = ++latest;
    close(); // the shown items belong to another text, and loading values takes time
    const before = input.value.slice(0, input.selectionStart);
    const found = await completions(before, fields, values);
    if (current !== latest || document.activeElement !== input) return;
    offered = { before, ...found };
    active = -1;
    list.replaceChildren(...offered.items.map(option));
    show(offered.items.length > 0);
  }

  function option({ text, hint }, place) {
    const keepFocus = (event) => event.preventDefault();
    return h("li", {
      id: `${id}-${place}`, role: "option", "aria-selected": "false",
      onpointerdown: keepFocus, onclick: () => take(place),
    }, text, hint ? h("span", { class: "dim" }, ` ${hint}`) : null);
  }

  function show(on) {
    list.hidden = !on;
    input.setAttribute("aria-expanded", String(on));
    if (!on) input.removeAttribute("aria-activedescendant");
  }

  const close = () => show(false);

  function take(place) {
    const { before, typed, items } = offered;
    const after = input.value.slice(before.length);
    const text = `${before.slice(0, before.length - typed.length)}${items[place].text} `;
    input.value = text + after.trimStart();
    input.setSelectionRange(text.length, text.length);
    change();
    offer();
  }

  function move(step) {
    const from = active < 0 && step < 0 ? 0 : active; // before the first item comes the last
    active = (from + step + offered.items.length) % offered.items.length;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === active)));
    input.setAttribute("aria-activedescendant", `${id}-${active}`);
    list.children[active].scrollIntoView({ block: "nearest" });
  }

  input.addEventListener("input", offer);
  input.addEventListener("focus", offer);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") move(event.key === "ArrowDown" ? 1 : -1);
    else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) take(active);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  offer();
}

/** The completions at the end of `text`: the part already typed, and the items that continue it. */
async function completions(text, fields, values) {
  const [, compared, value] = AFTER_OPERATOR.exec(text) ?? [];
  if (compared && kindOf(compared, fields)) {
    const written = (each) => (typeof each === "string" ? quoted(each) : String(each));
    const possible = (await values(plain(compared))).map(written);
    return { typed: value, items: matching(possible, value).slice(0, 10).map((each) => ({ text: each })) };
  }
  const kind = kindOf(AFTER_FIELD.exec(text)?.[1], fields);
  if (kind) return { typed: "", items: [...OPERATORS[kind], "EXISTS"].map((each) => ({ text: each })) };
  if (/["\p{L}\p{N}_\])]\s+$/u.test(text) && !/\b(AND|OR|NOT)\s+$/i.test(text)) {
    return { typed: "", items: ["AND", "OR"].map((each) => ({ text: each })) };
  }
  const last = tokens(text).at(-1) ?? "";
  const typed = /^["\p{L}_]/u.test(last) ? last : "";
  const known = matching(Object.keys(fields).map(named), typed);
  const names = known.map((text) => ({ text, hint: fields[plain(text)] }));
  return { typed, items: names.some((each) => each.text === typed) ? [] : names.slice(0, 12) };
}

/** A name without its quotes. */
const plain = (name) => (name.startsWith('"') ? name.slice(1, -1).replace(/\\([^])/g, "$1") : name);

const kindOf = (name, fields) => (name && Object.hasOwn(fields, plain(name)) ? fields[plain(name)] : "");

function matching(items, typed) {
  const wanted = typed.replace(/^"/, "").toLowerCase();
  return items.filter((item) => item.replace(/^"/, "").toLowerCase().startsWith(wanted));
}
