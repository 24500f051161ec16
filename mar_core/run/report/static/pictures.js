// Answers that lie on a picture: boxes, masks, heat maps.

import { make } from "./dom.js";
import { legend } from "./texts.js";

const LARGEST = 1600;
const CLASSES_LISTED = 12;

export function picture(blob, alt) {
  return make("img", { class: "answer-picture", src: URL.createObjectURL(blob), alt });
}

/** A canvas with a picture on it, and how long a pixel of the original is there. */
async function canvasOf({ blob, width }) {
  const bitmap = await createImageBitmap(blob);
  const side = Math.max(bitmap.width, bitmap.height);
  const copy = width > bitmap.width;
  // A tiny picture, or a small copy, is drawn larger, or boxes and labels would have no room.
  const zoom = Math.max(Math.min(1, LARGEST / side), copy ? Math.min(2, width / bitmap.width) : Math.min(8, 220 / side));
  const canvas = make("canvas", { role: "img" });
  canvas.width = Math.round(bitmap.width * zoom);
  canvas.height = Math.round(bitmap.height * zoom);
  const context = canvas.getContext("2d");
  const smooth = copy || zoom <= 1;
  context.imageSmoothingEnabled = smooth;
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return { canvas, context, bitmap, smooth, zoom: canvas.width / (width || bitmap.width) };
}

const stage = (canvas) => make("div", { class: "stage" }, canvas);

// ── Boxes ─────────────────────────────────────────────────────────────────────────────────────

export async function boxes(given, found) {
  const { canvas, context, zoom } = await canvasOf(given);
  const unit = Math.max(canvas.width, canvas.height) / 100;
  const labels = [...new Set(found.map((one) => one.label))];
  context.lineWidth = Math.max(2, unit * 0.45);
  context.font = `600 ${Math.max(11, unit * 2.6)}px system-ui, sans-serif`;
  for (const { label, score, box } of found) {
    const [left, top, right, bottom] = box.map((value) => value * zoom);
    const colour = colourOf(labels.indexOf(label) + 1);
    context.strokeStyle = colour;
    context.strokeRect(left, top, right - left, bottom - top);
    tag(context, named(label, score), left, top, colour, unit);
  }
  canvas.setAttribute("aria-label", `The picture with ${found.length} boxes; they are listed below`);
  const rows = make("ul", { class: "legend", "aria-label": "What was found" }, ...found.map(({ label, score }) => {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.backgroundColor = colourOf(labels.indexOf(label) + 1);
    return make("li", {}, swatch, named(label, score));
  }));
  return [stage(canvas), rows];
}

const named = (label, score) => (typeof score === "number" ? `${label} ${(score * 100).toFixed(0)} %` : label);

function tag(context, text, left, top, colour, unit) {
  const height = Math.max(15, unit * 3.4);
  const width = context.measureText(text).width + unit * 1.4;
  const above = top - height >= 0 ? top - height : top;
  context.fillStyle = colour;
  context.fillRect(left - context.lineWidth / 2, above, width, height);
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + unit * 0.7, above + height / 2);
}

// ── Masks with labels ─────────────────────────────────────────────────────────────────────────

/** Lays the bright pixels of each mask on the picture, each in a colour of its own. */
export async function segmentsOn(given, found) {
  const masks = await Promise.all(found.map(({ mask }) => createImageBitmap(mask)));
  const top = make("canvas", {});
  top.width = Math.max(...masks.map((mask) => mask.width));
  top.height = Math.max(...masks.map((mask) => mask.height));
  const context = top.getContext("2d");
  for (const [at, mask] of masks.entries()) {
    context.drawImage(coloured(mask, channels(at + 1)), 0, 0);
  }
  const listed = found.map(({ label, score }, at) => [colourOf(at + 1), named(label, score)]);
  return [...(await lay(given, await createImageBitmap(top))), legend(listed)];
}

function coloured(mask, colour) {
  const canvas = make("canvas", {});
  canvas.width = mask.width;
  canvas.height = mask.height;
  const context = canvas.getContext("2d");
  context.drawImage(mask, 0, 0);
  const image = context.getImageData(0, 0, mask.width, mask.height);
  for (let at = 0; at < image.data.length; at += 4) {
    paint(image, at, image.data[at] > 127 ? [...colour, 255] : [0, 0, 0, 0]);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// ── Grids of numbers: a class for each pixel, or how much each counted ────────────────────────

/** Rows of equal length of numbers, or of [class, probability]; or channels of such rows. */
export function isGrid(value) {
  const shape = shapeOf(value);
  if (shape.length === 3 && shape[2] !== 2) return shape[0] <= 4 && shape[1] >= 8 && shape[2] >= 8;
  return shape.length >= 2 && shape.length <= 3 && shape[0] >= 8 && shape[1] >= 8;
}

function shapeOf(value) {
  const shape = [];
  let one = value;
  while (Array.isArray(one) && one.length) {
    shape.push(one.length);
    [one] = one;
  }
  return typeof one === "number" ? shape : [];
}

export async function maskOf(grid, given) {
  const shape = shapeOf(grid);
  if (shape.length === 3 && shape[2] !== 2) return heatMap(grid, given);
  const number = shape.length === 3 ? (pixel) => pixel[0] : (pixel) => pixel;
  const counts = new Map();
  const image = new ImageData(shape[1], shape[0]);
  grid.forEach((row, y) => row.forEach((pixel, x) => {
    const kind = Math.round(number(pixel));
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    paint(image, (y * shape[1] + x) * 4, kind ? [...channels(kind), 255] : [0, 0, 0, 0]);
  }));
  const all = shape[0] * shape[1];
  const listed = [...counts].sort((one, other) => other[1] - one[1]).slice(0, CLASSES_LISTED)
    .map(([kind, count]) => [colourOf(kind), `class ${kind}: ${((count / all) * 100).toFixed(1)} %`]);
  return [...(await lay(given, await createImageBitmap(image))), legend(listed)];
}

export async function heatMap(grid, given) {
  const shape = shapeOf(grid);
  const flat = shape.length === 3 ? added(grid, shape) : grid;
  const height = flat.length;
  const width = flat[0].length;
  const sorted = flat.flat().map(Math.abs).sort((one, other) => one - other);
  const strongest = sorted[Math.floor(sorted.length * 0.99)] || sorted.at(-1) || 1;
  const image = new ImageData(width, height);
  flat.forEach((row, y) => row.forEach((value, x) => {
    const share = Math.max(-1, Math.min(1, value / strongest));
    const colour = share < 0 ? [40, 112, 200] : [214, 64, 48];
    paint(image, (y * width + x) * 4, [...colour, Math.abs(share) * 255]);
  }));
  return [...(await lay(given, await createImageBitmap(image))),
    legend([["rgb(214 64 48)", "spoke for it"], ["rgb(40 112 200)", "against it"]])];
}

/** Channels first or channels last: what counted at a pixel is the sum over its channels. */
function added(grid, shape) {
  const first = shape[0] <= 4 && shape[2] > 4;
  const [height, width, depth] = first ? [shape[1], shape[2], shape[0]] : shape;
  return Array.from({ length: height }, (_, y) => Array.from({ length: width }, (__, x) => {
    let sum = 0;
    for (let at = 0; at < depth; at += 1) sum += first ? grid[at][y][x] : grid[y][x][at];
    return sum;
  }));
}

function paint(image, at, [red, green, blue, opacity]) {
  image.data[at] = red;
  image.data[at + 1] = green;
  image.data[at + 2] = blue;
  image.data[at + 3] = opacity;
}

// Told apart on any picture, and white letters can be read on each.
const COLOURS = [
  [208, 32, 60], [0, 106, 200], [14, 128, 62], [176, 84, 0], [138, 44, 190], [0, 122, 132],
  [198, 22, 132], [108, 100, 0], [70, 76, 210], [150, 70, 52],
];

const channels = (index) => COLOURS[(index - 1 + COLOURS.length * 1000) % COLOURS.length];
const colourOf = (index) => (index ? `rgb(${channels(index).join(" ")})` : "transparent");

export async function overlay(given, blob) {
  return lay(given, await createImageBitmap(blob));
}

// ── Laying one over the other ─────────────────────────────────────────────────────────────────

/** Where a model looked: at the whole picture, or, as for ImageNet, at its middle. */
function region(canvas, top, where) {
  if (where === "whole") return [0, 0, canvas.width, canvas.height];
  const share = where === "imagenet" ? 224 / 256 : 1;
  const side = Math.min(canvas.width / top.width, canvas.height / top.height) * share;
  const [width, height] = [top.width * side, top.height * side];
  return [(canvas.width - width) / 2, (canvas.height - height) / 2, width, height];
}

async function lay(given, top) {
  if (!given) return [stage(alone(top))];
  const { canvas, context, bitmap, smooth } = await canvasOf(given);
  const same = Math.abs(bitmap.width / bitmap.height - top.width / top.height) < 0.01;
  const where = make("select", {}, make("option", { value: "whole" }, "the whole picture"),
    make("option", { value: "middle" }, "its middle"), make("option", { value: "imagenet" }, "the crop of ImageNet"));
  where.value = top.width === 224 && top.height === 224 ? "imagenet" : same ? "whole" : "middle";
  const strength = make("input", { type: "range", min: "0", max: "100", value: "60" });
  const draw = () => {
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = smooth;
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = Number(strength.value) / 100;
    context.imageSmoothingEnabled = false;
    context.drawImage(top, ...region(canvas, top, where.value));
  };
  where.addEventListener("change", draw);
  strength.addEventListener("input", draw);
  draw();
  canvas.setAttribute("aria-label", "The picture with the answer laid over it");
  return [stage(canvas), make("div", { class: "place" },
    make("label", {}, "Strength", strength), make("label", {}, "over", where))];
}

function alone(bitmap) {
  const zoom = Math.max(1, Math.min(8, Math.floor(320 / Math.max(bitmap.width, bitmap.height))));
  const canvas = make("canvas", { role: "img", "aria-label": "The answer as a picture" });
  canvas.width = bitmap.width * zoom;
  canvas.height = bitmap.height * zoom;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}
