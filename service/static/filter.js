// Completion in the filter box: fields, then their values, then AND, OR, NOT.

import { h } from "./dom.js";

const OPERATORS = { string: ["=", "!=", "IN ["], strings: ["=", "!=", "IN ["], number: ["=", ">=", "<=", ">", "<"], date: [">=", "<", "="], boolean: ["= true", "= false"] };

let number = 0;

/** Make `input` a combobox.  `values(field)` gives known values; `change` is called after a completion. */
export function attach(input, { fields, values, change }) {
  const id = `completions-${++number}`;
  const list = h("ul", { id, class: "completions", role: "listbox", "aria-label": "Completions", hidden: true });
  input.after(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": id, "aria-expanded": "false" })) input.setAttribute(name, value);
  let active = -1;
  let offered = { before: "", typed: "", items: [] };
  let latest = 0;

  async function offer() {
    const mine = ++latest;
    close(); // what is shown was offered for another text, and values may take a while to come
    const before = input.value.slice(0, input.selectionStart);
    const found = await completions(before, fields, values);
    if (mine !== latest || document.activeElement !== input) return;
    offered = { before, ...found };
    active = -1;
    list.replaceChildren(...offered.items.map((item, place) =>
      h("li", { id: `${id}-${place}`, role: "option", "aria-selected": "false", onpointerdown: (event) => event.preventDefault(), onclick: () => take(place) }, item.text, item.hint ? h("span", { class: "dim" }, ` ${item.hint}`) : null)));
    show(offered.items.length > 0);
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
    active = (active + step + offered.items.length) % offered.items.length;
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

/** What may stand at the end of `text`: the part already typed, and the items that go on from it. */
async function completions(text, fields, values) {
  const known = (name) => Object.hasOwn(fields, name.replace(/^"|"$/g, ""));
  const afterOperator = /(\w[\w.-]*|"[^"]*")\s*(=|==|!=|<|<=|>|>=|(?:NOT\s+)?IN\s*\[(?:[^\]]*,)?)\s*("?[^"\s\],]*)$/i.exec(text);
  if (afterOperator && known(afterOperator[1])) {
    const [, name, , typed] = afterOperator;
    const possible = (await values(name.replace(/"/g, ""))).map((value) => (typeof value === "string" ? JSON.stringify(value) : String(value)));
    return { typed, items: matching(possible, typed).slice(0, 10).map((value) => ({ text: value })) };
  }
  const afterField = /(\w[\w.-]*|"[^"]*")\s+$/.exec(text);
  if (afterField && known(afterField[1])) {
    return { typed: "", items: [...OPERATORS[fields[afterField[1].replace(/"/g, "")]], "EXISTS"].map((each) => ({ text: each })) };
  }
  if (/["\w\])]\s+$/.test(text) && !/(AND|OR|NOT)\s+$/i.test(text)) return { typed: "", items: ["AND", "OR"].map((each) => ({ text: each })) };
  const typed = /[\w.-]*$/.exec(text)[0];
  const names = matching(Object.keys(fields), typed).map((name) => ({ text: /^[A-Za-z_][\w.-]*$/.test(name) ? name : JSON.stringify(name), hint: fields[name] }));
  return { typed, items: names.some((each) => each.text === typed) ? [] : names.slice(0, 12) };
}

function matching(items, typed) {
  const wanted = typed.replace(/^"/, "").toLowerCase();
  return items.filter((item) => item.replace(/^"/, "").toLowerCase().startsWith(wanted));
}
