// One input, with everything that is known of it.

import { pairs, percent } from "./answers.js";
import { drawnOf, isLaidOver, pictureIn, shortName } from "./cards.js";
import { byId, make, write } from "./dom.js";
import { whole } from "./rows.js";

let around = [];
let shown = null;

export function openDetails(row, rows, asked) {
  around = rows;
  put(row, asked);
  if (!byId("details").open) byId("details").showModal();
}

export function listenToDetails(asked) {
  const dialog = byId("details");
  const go = (step) => {
    const next = around[around.indexOf(shown) + step];
    if (next) put(next, asked);
  };
  byId("close").addEventListener("click", () => dialog.close());
  byId("previous").addEventListener("click", () => go(-1));
  byId("next").addEventListener("click", () => go(1));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, .table")) return;
    if (event.key === "ArrowLeft") go(-1);
    if (event.key === "ArrowRight") go(1);
  });
  dialog.addEventListener("close", () => {
    document.querySelector(`.name[data-number="${shown?.number}"]`)?.focus();
  });
}

async function put(row, asked) {
  shown = row;
  const all = whole(row);
  write(byId("details-title"), shortName(row.id));
  byId("details-title").title = row.id;
  byId("previous").disabled = around.indexOf(row) === 0;
  byId("next").disabled = around.indexOf(row) === around.length - 1;
  const parts = [];
  if (all.error) {
    parts.push(make("div", { class: "refusal" }, make("strong", {}, `${all.error.type} in ${all.error.stage}`), all.error.message));
  }
  if (all.preview && !(await isLaidOver(all, asked))) parts.push(sentPart(all.preview));
  if ("result" in all || all.grid) parts.push(make("div", { class: "answered" }, ...(await drawnOf(all, asked))));
  if (shown !== row) return; // another one was asked for meanwhile
  byId("details-body").replaceChildren(...parts, ...known(row, all), rawPart(all));
  byId("details-body").scrollTop = 0;
}

function sentPart(preview) {
  if (preview.picture) return pictureIn(preview, "The input");
  return make("p", { class: "sent" }, preview.cut ? `${preview.text} …` : preview.text ?? "");
}

function known(row, all) {
  const facts = { ...all.input };
  if (row.truth !== null) facts.truth = row.wrong ? `${row.truth} – the answer is wrong` : row.truth;
  if (all.preview?.width) facts.size = `${all.preview.width} × ${all.preview.height} pixels`;
  if (row.score !== null) facts.score = percent(row.score);
  if (all.streamed) facts.streamed = all.streamed;
  return Object.keys(facts).length ? [pairs(facts)] : [];
}

function rawPart(all) {
  const { preview, at, grid, ...left } = all;
  const numbers = grid ? { grid: `${grid.height} × ${grid.width} numbers` } : {};
  return make("details", {}, make("summary", {}, "The row"),
    make("pre", { tabindex: "0" }, JSON.stringify({ ...left, ...numbers }, null, 2)));
}
