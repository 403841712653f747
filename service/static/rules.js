// Synonyms and pins of a collection: shown on demand, and edited if the caller may change the collection.

import { h, plural } from "./dom.js";
import { api } from "./api.js";

const MAX_PINS = 200; // that the page draws; `attendex pins` reads files with more

/** The sections of the rules that suit the collection; `saved()` is called after a change. */
export function ruleSections(collection, { modes, writable }, { saved, signal }) {
  const given = { collection, writable, saved, signal };
  const sections = [new Rules("pins", "Pins", new PinForm(writable), given)];
  if (modes.includes("lexical")) sections.unshift(new Rules("synonyms", "Synonyms", new SynonymForm(writable), given));
  return sections.map(({ element }) => element);
}

/** Rules of one kind.  `form` has `element`, `about`, `show(rules)` and `read()`. */
class Rules {
  constructor(kind, title, form, given) {
    Object.assign(this, { kind, form, ...given });
    this.status = h("p", { role: "status", "aria-live": "polite" });
    this.save = h("button", { type: "button", hidden: true, onclick: () => this.store() }, "Save");
    const ontoggle = () => this.element.open && this.tag === undefined && this.load();
    this.element = h("details", { class: "rules", ontoggle },
      h("summary", {}, h("h2", {}, title)), h("p", { class: "dim" }, form.about), form.element, this.save, this.status);
  }

  async load() {
    await this.attempt(() => api.rules(this.collection, this.kind, this.signal));
  }

  async store() {
    const { collection, kind, form, tag } = this;
    this.save.disabled = true;
    const isStored = await this.attempt(() => api.replaceRules(collection, kind, form.read(), tag));
    this.save.disabled = false;
    if (!isStored) return;
    this.status.replaceChildren(`Saved ${plural(this.count, "rule")}.`);
    this.saved();
  }

  /** Show the rules that `request` returns, or why there are none; return whether it succeeded. */
  async attempt(request) {
    try {
      const { rules, tag } = await request();
      Object.assign(this, { tag, count: rules.length });
      this.save.hidden = !this.form.show(rules) || !this.writable;
      this.status.replaceChildren();
      return true;
    } catch (error) {
      if (error.name === "AbortError") return false;
      const reload = h("button", { type: "button", onclick: () => this.load() }, "Drop my changes and load the new rules");
      const isLate = error.code === "content_changed";
      const message = isLate ? "Another user has changed these rules since they were loaded. " : error.message;
      this.status.replaceChildren(h("strong", { class: "warn" }, message), isLate ? reload : "");
      return false;
    }
  }
}

/** Synonyms in one text, in the format of `attendex synonyms`. */
class SynonymForm {
  about = "One rule a line: “tv, television” find each other; “sneakers => running shoes, trainers” finds these, too.";

  constructor(writable) {
    this.text = h("textarea", { rows: 8, "aria-label": "Synonyms", readonly: !writable, spellcheck: "false", dir: "auto" });
    this.element = h("div", {}, this.text);
  }

  show(rules) {
    const line = ({ words, synonyms }) => [words, synonyms].filter((each) => each.length).map((each) => each.join(", "));
    this.text.value = rules.map((rule) => line(rule).join(" => ")).join("\n");
    return true;
  }

  read() {
    const phrases = (text) => text.split(",").map((each) => each.trim()); // the service refuses an empty one
    const rules = lines(this.text).map((line) => line.split("#")[0]).filter((line) => line.trim()); // # begins a comment
    return rules.map((line) => {
      const [words, ...synonyms] = line.split("=>");
      return { words: phrases(words), synonyms: synonyms.length ? phrases(synonyms.join("=>")) : [] };
    });
  }
}

/** Pins, each with its queries and the ids of its documents. */
class PinForm {
  about = "Documents that come first for a query. Write one query and one id a line.";

  constructor(writable) {
    this.writable = writable;
    this.list = h("ul", { class: "pins" });
    const onclick = () => {
      this.list.append(this.row({ queries: [], documents: [] }));
      this.list.lastElementChild.querySelector("textarea").focus();
    };
    this.add = h("button", { type: "button", class: "quiet", hidden: true, onclick }, "Add a pin");
    this.element = h("div", {}, this.list, this.add);
  }

  show(pins) {
    const fits = pins.length <= MAX_PINS;
    this.add.hidden = !fits || !this.writable;
    const many = `${plural(pins.length, "pin")}: too many for this page. Use the command “attendex pins”.`;
    this.list.replaceChildren(...(fits ? pins.map((pin) => this.row(pin)) : [h("li", {}, many)]));
    return fits;
  }

  row({ queries, documents }) {
    const box = (name, texts) =>
      h("label", {}, name, h("textarea", { rows: 3, readonly: !this.writable, dir: "auto", value: texts.join("\n") }));
    const remove = () => row.remove();
    const row = h("li", {}, box("Queries", queries), box("Documents", documents),
      this.writable ? h("button", { type: "button", class: "quiet", onclick: remove }, "Remove") : null);
    return row;
  }

  read() {
    const pins = [...this.list.children].map((row) => [...row.querySelectorAll("textarea")].map(lines));
    return pins.map(([queries, documents]) => ({ queries, documents }))
      .filter(({ queries, documents }) => queries.length + documents.length);
  }
}

/** The lines of a text area that are not blank. */
const lines = ({ value }) => value.split("\n").map((line) => line.trim()).filter(Boolean);
