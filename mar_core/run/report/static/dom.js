// Everything that a model says goes into the page as text: there is no other way in here.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Writes only what changed, so that a screen reader and a selection are left in peace. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A row of tabs as the ARIA authoring practices describe it: arrows move, Home and End jump. */
export function tabs(list, chosen = () => {}) {
  const all = [...list.querySelectorAll('[role="tab"]')];
  const choose = (tab, { focus = false } = {}) => {
    for (const one of all) {
      const is = one === tab;
      one.setAttribute("aria-selected", String(is));
      one.tabIndex = is ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !is;
    }
    if (focus) tab.focus();
    chosen(tab);
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const last = all.length - 1;
    const to = {
      ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last,
    }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    choose(all[to], { focus: true });
  });
  return choose;
}

/** The bytes of a base64 text. */
export const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let at = 0;
  let value = bytes;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at ? value.toPrecision(3) : value} ${bytes === 1 ? "byte" : units[at]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return `${Math.max(1, Math.round(seconds * 1e6))} µs`;
  if (seconds < 1) return `${(seconds * 1000).toPrecision(seconds < 0.1 ? 2 : 3)} ms`;
  return seconds < 100 ? `${seconds.toPrecision(3)} s` : `${Math.round(seconds)} s`;
}
