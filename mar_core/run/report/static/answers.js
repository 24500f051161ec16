// An answer as people look at it. `kindOf` says what it is by its shape; each kind has a view.

import { bytesOf, make, size } from "./dom.js";
import { boxes, heatMap, isGrid, maskOf, overlay, picture, segmentsOn } from "./pictures.js";
import { entities, plain, words } from "./texts.js";

const SHOWN_ROWS = 200;
const SHOWN_BARS = 12;

/**
 * @param answer {bytes, type, explains, asked: {kind, text, file}}
 * @returns {Promise<Element[]>}
 */
export async function show(answer) {
  const media = mediaType(answer);
  if (media.startsWith("image/")) {
    const blob = new Blob([answer.bytes], { type: media });
    const given = pictureOf(answer.asked);
    return given ? overlay(given, blob) : [picture(blob, "The answer")];
  }
  const text = decoded(answer.bytes);
  if (text === null) return [plain(`${size(answer.bytes.length)} of ${media || "bytes"}`, { long: true })];
  const value = parsed(text, media);
  return value === undefined ? [plain(text, { long: text.length > 24 })] : view(value, answer);
}

/**
 * What a value is, asked from the narrowest shape to the widest.
 *
 * @param answer {explains, asked: {kind, text, file, width, height}}; the file may be a smaller copy
 *     of a picture of that width and height
 */
export function kindOf(value, { asked }) {
  const one = unwrapped(value);
  const given = pictureOf(asked);
  if (fromBase64(one?.base64)) return "picture";
  if (classes(one)) return "classes";
  if (given && detections(one)) return "boxes";
  if (given && segments(one)) return "segments";
  if (isWords(one)) return "words";
  if (asked.kind === "text" && spans(one)) return "entities";
  if (given && heatIn(one)) return "heat";
  return isGrid(one) ? "grid" : "other";
}

const heatIn = (value) => fromBase64(value?.heatmap?.base64 ?? value?.heatmap);

/** A value as people look at it: a promise of elements. */
export async function view(value, answer) {
  const one = unwrapped(value);
  const given = pictureOf(answer.asked);
  switch (kindOf(value, answer)) {
    case "picture": {
      const blob = fromBase64(one.base64);
      return given ? overlay(given, blob) : [picture(blob, "The answer")];
    }
    case "classes": return bars(classes(one));
    case "boxes": return boxes(given, detections(one));
    case "segments": return segmentsOn(given, segments(one));
    case "words": return words(one);
    case "entities": return entities(answer.asked.text, spans(one));
    case "heat": return [...(await overlay(given, heatIn(one))), ...rest(one, ["heatmap", "attributions"])];
    case "grid": return answer.explains ? heatMap(one, given) : maskOf(one, given);
    default: return anything(one);
  }
}

function anything(value) {
  if (typeof value === "string") return [plain(value, { long: value.length > 24 })];
  if (value === null || typeof value !== "object") return [plain(String(value))];
  if (isRecords(value)) return [table(value)];
  if (Array.isArray(value)) return [listed(value)];
  return [pairs(value)];
}

function rest(value, without) {
  const left = Object.entries(value).filter(([name]) => !without.includes(name));
  return left.length ? [pairs(Object.fromEntries(left))] : [];
}

// ── What an answer is ─────────────────────────────────────────────────────────────────────────

// The holes are bytes that say nothing of the kind.
const PICTURES = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47]],
  ["image/webp", [0x52, 0x49, 0x46, 0x46, , , , , 0x57, 0x45, 0x42, 0x50]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
];

/** TorchServe's handlers rarely say what they return: the first bytes do. */
function mediaType({ bytes, type }) {
  const said = (type || "").split(";")[0].trim().toLowerCase();
  const found = PICTURES.find(([, magic]) => magic.every((byte, at) => bytes[at] === byte));
  return found ? found[0] : said === "image/svg+xml" ? "" : said;
}

function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function parsed(text, media) {
  if (media.startsWith("text/") && media !== "text/plain") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** KServe's envelopes around a single answer. */
function unwrapped(value) {
  const inside = value?.predictions ?? value?.explanations;
  if (Array.isArray(inside) && inside.length === 1) return inside[0];
  return value;
}

function pictureOf({ kind, file, width, height }) {
  return kind === "file" && file?.type.startsWith("image/") ? { blob: file, width, height } : null;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isShare = (value) => isNumber(value) && value >= 0 && value <= 1.0001;
const isPlain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** `{label: share}`, `[{label, score}]`, `{labels, scores}`, or shares that add up to one. */
function classes(value) {
  if (isPlain(value)) {
    const entries = Object.entries(value);
    if (entries.length && entries.every(([, share]) => isShare(share))) return entries;
    const names = value.labels ?? value.classes;
    const shares = value.scores ?? value.probabilities;
    const fits = Array.isArray(names) && Array.isArray(shares) && names.length === shares.length;
    if (!fits || value.boxes || !shares.length || !shares.every(isShare)) return null;
    return names.map((name, at) => [String(name), shares[at]]);
  }
  if (!Array.isArray(value) || !value.length) return null;
  if (value.every((one) => isPlain(one) && "label" in one && isShare(one.score) && Object.keys(one).length === 2)) {
    return value.map((one) => [String(one.label), one.score]);
  }
  const total = value.every(isShare) ? value.reduce((sum, share) => sum + share, 0) : 0;
  return value.length > 1 && Math.abs(total - 1) < 0.01 ? value.map((share, at) => [String(at), share]) : null;
}

const isBox = (value) => Array.isArray(value) && value.length === 4 && value.every(isNumber);

/** Boxes in the shapes that detectors answer in; each becomes {label, score, box}. */
function detections(value) {
  if (isPlain(value) && Array.isArray(value.boxes)) {
    if (!value.boxes.every(isBox)) return null;
    return value.boxes.map((box, at) => ({
      box, label: String(value.labels?.[at] ?? ""), score: value.scores?.[at],
    }));
  }
  if (!Array.isArray(value) || !value.length || !value.every(isPlain)) return null;
  const found = value.map(detection);
  return found.every(Boolean) ? found : null;
}

function detection(row) {
  const score = row.score ?? row.confidence;
  const box = row.box ?? row.bbox ?? row.bounding_box;
  const label = row.label ?? row.class ?? row.name ?? "";
  if (isBox(box)) return { box, label: String(label), score };
  if (isPlain(box) && isBox([box.xmin, box.ymin, box.xmax, box.ymax])) {
    return { box: [box.xmin, box.ymin, box.xmax, box.ymax], label: String(label), score };
  }
  const named = Object.entries(row).find(([name, one]) => name !== "score" && isBox(one));
  return named ? { box: named[1], label: named[0], score } : null;
}

/** Masks with labels, as transformers' pipelines give them; each becomes {label, score, mask}. */
function segments(value) {
  if (!isRecords(value)) return null;
  const found = value.map(({ label, score, mask }) => (
    { label: String(label ?? ""), score, mask: fromBase64(mask?.base64 ?? mask) }));
  return found.every(({ mask }) => mask) ? found : null;
}

function isWords(value) {
  const { words: list, importances } = isPlain(value) ? value : {};
  return Array.isArray(list) && Array.isArray(importances) && list.length === importances.length
    && list.length > 0 && importances.every(isNumber);
}

function spans(value) {
  const ok = Array.isArray(value) && value.length > 0
    && value.every((one) => isPlain(one) && Number.isInteger(one.start) && Number.isInteger(one.end));
  return ok ? value.map((one) => ({
    start: one.start, end: one.end, label: String(one.entity_group ?? one.entity ?? one.label ?? ""),
  })) : null;
}

function isRecords(value) {
  return Array.isArray(value) && value.length > 0 && value.every(isPlain);
}

/** The picture that a base64 text is, or null. */
function fromBase64(text) {
  if (typeof text !== "string") return null;
  try {
    const bytes = bytesOf(text);
    const type = mediaType({ bytes, type: "" });
    return type ? new Blob([bytes], { type }) : null;
  } catch {
    return null;
  }
}

// ── Views ─────────────────────────────────────────────────────────────────────────────────────

export function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  return `${value.toFixed(value < 10 ? 2 : 1)} %`;
}

export function bars(entries) {
  const sorted = [...entries].sort((one, other) => other[1] - one[1]);
  const list = make("ol", { class: "bars", role: "list", "aria-label": "Classes, the most probable first" });
  for (const [label, share] of sorted.slice(0, SHOWN_BARS)) {
    const fill = make("div", { class: "fill" });
    fill.style.width = `${share * 100}%`;
    list.append(make("li", {},
      make("span", { class: "label" }, label),
      make("span", { class: "value" }, percent(share)),
      make("div", { class: "track", "aria-hidden": "true" }, fill)));
  }
  const left = sorted.length - SHOWN_BARS;
  return left > 0 ? [list, make("p", { class: "more" }, `and ${left} more`)] : [list];
}

function cell(value) {
  if (value === undefined) return make("td", {}, "");
  if (typeof value === "number") return make("td", { class: "number" }, rounded(value));
  return make("td", {}, typeof value === "string" ? value : short(JSON.stringify(value)));
}

const rounded = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6))));
const short = (text) => (text.length > 300 ? `${text.slice(0, 300)} …` : text);

export function scrolling(content, label) {
  return make("div", { class: "table", tabindex: "0", role: "region", "aria-label": label }, content);
}

export function table(rows) {
  const columns = [...new Set(rows.slice(0, SHOWN_ROWS).flatMap(Object.keys))];
  const head = make("tr", {}, ...columns.map((name) =>
    make("th", { scope: "col", class: typeof rows[0][name] === "number" ? "number" : null }, name)));
  const lines = rows.slice(0, SHOWN_ROWS).map((row) => make("tr", {}, ...columns.map((name) => cell(row[name]))));
  const body = make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines));
  const caption = rows.length > SHOWN_ROWS ? `The first ${SHOWN_ROWS} of ${rows.length} records` : `${rows.length} records`;
  return scrolling(body, caption);
}

export function pairs(value) {
  const lines = Object.entries(value).slice(0, SHOWN_ROWS).map(([name, one]) =>
    make("tr", {}, make("th", { scope: "row" }, name), cell(one)));
  return scrolling(make("table", {}, make("tbody", {}, ...lines)), "The answer's fields");
}

function listed(value) {
  return table(value.slice(0, SHOWN_ROWS).map((one, at) => ({ "#": at, value: one })));
}
