// The report of a run: reads the rows, sums them up, and shows those that are asked for.

import { gallery, SIZES, tableOf } from "./cards.js";
import { chosen, counted, ORDERS, SHOWS, START } from "./choice.js";
import { listenToDetails, openDetails } from "./details.js";
import { byId, make, write } from "./dom.js";
import { everything } from "./rows.js";
import { button, grouped, summarize } from "./summary.js";
import { judge } from "./truth.js";

const report = { rows: [], asked: {}, found: [], choice: { ...START }, page: 0, layout: "gallery" };

function begin() {
  const all = everything();
  Object.assign(report, all);
  summarize(all, (change) => pick({ ...START, order: report.choice.order, ...change }, true));
  judge(all.rows, (change) => pick({ ...START, order: report.choice.order, ...change }, true));
  report.layout = all.rows.some((row) => row.picture) ? "gallery" : "table";
  fill();
  listen();
  listenToDetails(report.asked);
  byId("main").hidden = false;
  pick({});
}

function fill() {
  const judged = report.rows.some((row) => row.truth !== null);
  const shows = Object.entries(SHOWS).filter(([name]) => judged || (name !== "wrong" && name !== "right"));
  byId("show").append(...options(shows));
  byId("order").append(...options(Object.entries(ORDERS)));
  const labels = counted(report.rows.filter((row) => row.label !== null && row.kind === null).map((row) => row.label));
  byId("label-choice").hidden = labels.length < 2 || labels.length > 1000;
  byId("label").append(...options([["", "any"], ...labels.slice(0, 1000).map(([label]) => [label, label.slice(0, 60)])]));
}

const options = (entries) => entries.map(([value, text]) => make("option", { value }, text));

/** Change what is shown, and show it from its first page. */
function pick(change, jump = false) {
  Object.assign(report.choice, change);
  report.found = chosen(report.rows, report.choice);
  report.page = 0;
  for (const name of ["words", "show", "label", "order"]) {
    if (byId(name).value !== report.choice[name]) byId(name).value = report.choice[name];
  }
  showPage();
  if (!jump) return;
  byId("inputs").focus({ preventScroll: true });
  byId("inputs").scrollIntoView({ block: "start" });
}

function showPage() {
  const { found, page, layout, asked, choice } = report;
  const size = SIZES[layout];
  const rows = found.slice(page * size, (page + 1) * size);
  const open = (row) => openDetails(row, found, asked);
  byId("list").replaceChildren(rows.length ? (layout === "gallery" ? gallery : tableOf)(rows, asked, open)
    : make("p", { class: "empty" }, report.rows.length ? "No input is like that." : "This run has no rows yet."));
  const range = found.length > size ? `${grouped(page * size + 1)} to ${grouped(page * size + rows.length)} of ` : "";
  const only = [choice.kind, choice.pair && `${choice.pair.truth}${choice.pair.label === null ? "" : ` answered as ${choice.pair.label}`}`]
    .filter(Boolean).map((one) => `, ${one}`).join("");
  write(byId("found"), `${range}${grouped(found.length)} ${found.length === 1 ? "input" : "inputs"}${only}`);
  byId("clear").hidden = found.length === report.rows.length;
  for (const name of ["gallery", "table"]) byId(`as-${name}`).setAttribute("aria-pressed", String(layout === name));
  pager(Math.ceil(found.length / size));
}

function pager(pages) {
  const { page } = report;
  byId("pager").hidden = pages < 2;
  const to = (number, text, name) => {
    const element = button(text, () => {
      report.page = number;
      showPage();
      byId("inputs").scrollIntoView({ block: "start" });
      byId("inputs").focus({ preventScroll: true });
    }, { class: "page", "aria-label": name });
    element.disabled = number < 0 || number >= pages || number === page;
    return element;
  };
  byId("pager").replaceChildren(to(0, "⇤", "First page"), to(page - 1, "←", "Previous page"),
    make("span", {}, `Page ${grouped(page + 1)} of ${grouped(pages)}`),
    to(page + 1, "→", "Next page"), to(pages - 1, "⇥", "Last page"));
}

function listen() {
  let waiting = 0;
  byId("words").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => pick({ words: byId("words").value }), 150);
  });
  for (const name of ["show", "label", "order"]) {
    byId(name).addEventListener("change", () => pick({ [name]: byId(name).value }));
  }
  byId("clear").addEventListener("click", () => pick({ ...START, order: report.choice.order }));
  for (const name of ["gallery", "table"]) {
    byId(`as-${name}`).addEventListener("click", () => {
      report.layout = name;
      pick({});
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select, textarea") || byId("details").open) return;
    event.preventDefault();
    byId("words").focus();
  });
}

document.addEventListener("DOMContentLoaded", begin);
