// Elements without markup strings, so that markup in a document stays text.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: attributes by name, `on…` handlers, `class`, `style` as an object; then children, text or nodes. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== false && (child ?? null) !== null));
  return element;
}

/** Code points of a text.  The service counts offsets in code points, not in UTF-16 units. */
export const points = (text) => Array.from(text);

/** A number with thousands separators. */
export const count = (number) => number.toLocaleString("en");

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; number >= 1000 && unit < units.length - 1; unit++) number /= 1000;
  return `${number.toFixed(unit && number < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Set the title of the page, from the particular to the general. */
export function entitle(...parts) {
  document.title = [...parts, "Attendex"].map((part) => part.trim().slice(0, 80)).filter(Boolean).join(" · ");
}

const DATE = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/; // of ISO 8601

/** A metadata value as text. */
export function shown(value) {
  if (Array.isArray(value)) return value.join(", ");
  const [, date, time] = (typeof value === "string" && DATE.exec(value)) || [];
  if (date) return time === "00:00" ? date : `${date} ${time}`;
  return String(value);
}

/** Call `run` once, `wait` milliseconds after the last call; with `eager` at once after a longer pause. */
export function debounced(run, wait, { eager = true } = {}) {
  let timer = 0;
  let last = -Infinity;
  return (...given) => {
    clearTimeout(timer);
    const idle = eager && performance.now() - last > wait * 4;
    last = performance.now();
    if (idle) run(...given);
    else timer = setTimeout(run, wait, ...given);
  };
}
