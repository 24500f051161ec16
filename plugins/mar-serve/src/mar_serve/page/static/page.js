// The page: the models and how they do, a request, its answer, and the same request elsewhere.

import { show } from "./answers.js";
import { byId, duration, make, size, tabs, write } from "./dom.js";
import { curl, python } from "./snippets.js";
import { growing } from "./texts.js";

const EVERY = 2000;
const SHOWN_BYTES = 20000;
const POINTS = 31;

const state = {
  models: [], model: null, kind: "file", file: null, touched: false, running: null, given: null, saved: null, rates: new Map(),
};

const key = (model) => `${model.name}/${model.version}`;
const here = (model) => `#/${encodeURIComponent(model.name)}/${encodeURIComponent(model.version)}`;

// ── The models ────────────────────────────────────────────────────────────────────────────────

async function refresh() {
  try {
    const answer = await fetch("page/models.json", { headers: authorization() });
    if (answer.status === 400 || answer.status === 401) byId("token-row").hidden = false;
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    update(await answer.json());
  } catch (error) {
    write(byId("summary"), error instanceof TypeError ? "The server does not answer." : error.message);
  }
}

function update({ models }) {
  const now = performance.now();
  for (const model of models) {
    const before = state.rates.get(key(model)) ?? { at: now, requests: model.requests, points: [] };
    const seconds = (now - before.at) / 1000;
    const points = seconds > 0.2
      ? [...before.points, Math.max(0, (model.requests - before.requests) / seconds)].slice(-POINTS)
      : before.points;
    state.rates.set(key(model), seconds > 0.2 ? { at: now, requests: model.requests, points } : { ...before, points });
  }
  state.models = models;
  const ready = models.filter((model) => model.ready).length;
  const are = models.length === 1 ? "1 model" : `${models.length} models`;
  write(byId("summary"), models.length ? `${are}, ${ready === models.length ? "ready" : `${ready} ready`}` : "No model is registered yet");
  list();
  select();
}

function list() {
  const all = byId("models");
  const known = new Map([...all.children].map((item) => [item.dataset.key, item]));
  const items = state.models.map((model) => known.get(key(model)) ?? item(model));
  items.forEach((one, at) => {
    const model = state.models[at];
    const [link] = one.children;
    link.classList.toggle("ready", model.ready);
    write(link.querySelector(".how"), model.ready
      ? `${model.requests.toLocaleString("en")} ${model.requests === 1 ? "request" : "requests"} · ${duration(model.p50)}`
      : stateOf(model));
  });
  if (items.length !== all.children.length || items.some((one, at) => one !== all.children[at])) {
    all.replaceChildren(...items);
  }
}

function item(model) {
  const link = make("a", { href: here(model) },
    make("span", { class: "dot", "aria-hidden": "true" }),
    make("span", { class: "name" }, model.name),
    make("span", { class: "version" }, model.version),
    make("span", { class: "how" }));
  const one = make("li", {}, link);
  one.dataset.key = key(model);
  return one;
}

const stateOf = (model) => (model.ready ? "ready" : model.workers.live ? "not ready" : model.workers.min ? "starting or down" : "asleep");

function select() {
  const asked = decodeURIComponent(location.hash.slice(2));
  const model = state.models.find((one) => key(one) === asked) ?? state.models.find((one) => one.default) ?? state.models[0] ?? null;
  const changed = !state.model || !model || key(model) !== key(state.model);
  state.model = model;
  byId("main").hidden = !model;
  for (const link of document.querySelectorAll("#models a")) {
    if (model && link.getAttribute("href") === here(model)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (!model) return;
  figures(model);
  if (changed) {
    state.given = null;
    document.title = `${model.name} · mar serve`;
    byId("explain").hidden = model.explain === false;
    if (!state.touched) chooseKind(byId({ text: "tab-text", json: "tab-json" }[model.kind] ?? "tab-file"));
    clear();
    lines();
  }
}

function figures(model) {
  write(byId("model-name"), model.name);
  write(byId("model-version"), model.version);
  write(byId("model-state"), stateOf(model));
  byId("model-state").classList.toggle("ready", model.ready);
  write(byId("f-requests"), model.requests.toLocaleString("en"));
  write(byId("f-failed"), model.failed.toLocaleString("en"));
  byId("f-failed").classList.toggle("bad", model.failed > 0);
  write(byId("f-p50"), duration(model.p50));
  write(byId("f-p99"), duration(model.p99));
  of(byId("f-queue"), model.queue.waiting, model.queue.size);
  of(byId("f-workers"), model.workers.live, Math.max(model.workers.max, model.workers.live));
  spark(state.rates.get(key(model))?.points ?? []);
}

function of(element, some, all) {
  if (element.textContent === `${some} of ${all}`) return;
  element.replaceChildren(String(some), make("small", {}, ` of ${all}`));
}

function spark(points) {
  const top = Math.max(1, ...points);
  const step = 120 / (POINTS - 1);
  const first = 120 - (points.length - 1) * step;
  const places = points.map((value, at) => `${(first + at * step).toFixed(1)} ${(30 - (value / top) * 27).toFixed(1)}`);
  const line = places.length > 1 ? `M${places.join("L")}` : "";
  byId("spark").querySelector(".line").setAttribute("d", line);
  byId("spark").querySelector(".area").setAttribute("d", line ? `${line}V32H${first.toFixed(1)}Z` : "");
  const last = points.at(-1);
  write(byId("f-rate"), last === undefined ? "–" : last.toLocaleString("en", { maximumFractionDigits: last < 10 ? 1 : 0 }));
}

// ── The request ───────────────────────────────────────────────────────────────────────────────

const chooseKind = tabs(document.querySelector('[aria-label="Kind of input"]'), (tab) => {
  state.kind = tab.id.slice("tab-".length);
  lines();
});
tabs(document.querySelector('[aria-label="Language"]'));

function take(file) {
  if (!file) return;
  state.file = file;
  state.touched = true;
  chooseKind(byId("tab-file"));
  const preview = byId("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.hidden = !file.type.startsWith("image/");
  preview.removeAttribute("src");
  if (!preview.hidden) {
    preview.src = URL.createObjectURL(file);
    preview.onload = () => preview.classList.toggle("small-picture", preview.naturalWidth < 100);
  }
  write(byId("file-name"), `${file.name} · ${size(file.size)}`);
  byId("drop-empty").hidden = true;
  byId("drop-full").hidden = false;
  lines();
}

function asked({ explains = false } = {}) {
  const { model, kind, file } = state;
  const path = `${explains ? "explanations" : "predictions"}/${encodeURIComponent(model.name)}/${encodeURIComponent(model.version)}`;
  const type = { file: file?.type ?? "", text: "text/plain; charset=utf-8", json: "application/json" }[kind];
  return {
    kind, file, type, explains, url: new URL(path, document.baseURI).href, name: file?.name,
    text: kind === "file" ? "" : byId(kind).value, token: Boolean(byId("token").value),
  };
}

function authorization() {
  const token = byId("token").value.trim();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function lines() {
  if (!state.model) return;
  const request = state.given ?? asked();
  write(byId("curl"), curl(request));
  write(byId("python"), python(request));
}

/** Why a request cannot be sent yet, or nothing. */
function missing(request) {
  if (request.kind === "file" && !request.file) return "Choose a picture or a file first.";
  if (request.kind !== "json") return "";
  try {
    JSON.parse(request.text);
    return "";
  } catch (error) {
    return request.text.trim() ? `This is not JSON yet: ${error.message}` : "Type some JSON first.";
  }
}

async function send(explains) {
  if (state.running || !state.model) return;
  const request = asked({ explains });
  const problem = missing(request);
  complain(problem);
  if (problem) return;
  state.given = request;
  lines();
  state.running = new AbortController();
  busy(true);
  const start = performance.now();
  try {
    const answer = await fetch(request.url, {
      method: "POST", body: request.kind === "file" ? request.file : request.text, signal: state.running.signal,
      headers: { ...(request.type ? { "Content-Type": request.type } : {}), ...authorization() },
    });
    await receive(answer, request, start);
  } catch (error) {
    fail(error);
  } finally {
    state.running = null;
    busy(false);
    refresh();
  }
}

function complain(problem) {
  const line = byId("json-error");
  line.hidden = !(problem && state.kind === "json");
  write(line, line.hidden ? "" : problem);
  byId("json").setAttribute("aria-invalid", String(!line.hidden));
  if (!problem) return;
  outcome(problem, true);
  byId({ file: "file", text: "text", json: "json" }[state.kind]).focus();
}

function busy(is) {
  byId("answer-panel").setAttribute("aria-busy", String(is));
  byId("predict").disabled = is;
  byId("explain").disabled = is;
  byId("stop").hidden = !is;
}

// ── The answer ────────────────────────────────────────────────────────────────────────────────

async function receive(answer, request, start) {
  const type = answer.headers.get("content-type") ?? "";
  const streams = answer.ok && (answer.headers.get("ts_stream_next") === "true" || type.startsWith("text/event-stream"));
  const bytes = streams ? await follow(answer) : new Uint8Array(await answer.arrayBuffer());
  const seconds = (performance.now() - start) / 1000;
  outcome(`${answer.status} ${phrase(answer)} · ${duration(seconds)} · ${size(bytes.length)}`, !answer.ok);
  raw(answer, bytes, type);
  if (!answer.ok) refuse(answer, bytes);
  else if (!streams) byId("answer").replaceChildren(...(await show({ bytes, type, explains: request.explains, asked: request })));
}

const phrase = (answer) => answer.statusText || (answer.ok ? "OK" : "");

/** Shows a streamed text as it comes. */
async function follow(answer) {
  const text = growing();
  byId("answer").replaceChildren(text.element);
  byId("answer-panel").setAttribute("aria-busy", "false");
  const decoder = new TextDecoder();
  const pieces = [];
  const reader = answer.body.getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      pieces.push(piece.value);
      text.add(decoder.decode(piece.value, { stream: true }));
      outcome(`${answer.status} · ${pieces.length} pieces so far`, false);
    }
    text.add(decoder.decode());
  } finally {
    text.end();
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function refuse(answer, bytes) {
  const text = new TextDecoder().decode(bytes);
  let said = {};
  try {
    said = JSON.parse(text) ?? {};
  } catch { /* an answer of the handler's own; it is shown as it is */ }
  if (said.type === "InvalidKeyException" || answer.status === 401) byId("token-row").hidden = false;
  byId("answer").replaceChildren(make("div", { class: "refusal" },
    make("strong", {}, said.type ? `${answer.status} ${said.type}` : `${answer.status} ${phrase(answer)}`),
    typeof said.message === "string" ? said.message : text.slice(0, SHOWN_BYTES)));
}

function fail(error) {
  if (error.name === "AbortError") {
    outcome("Stopped", false);
    return;
  }
  outcome("No answer", true);
  byId("answer").replaceChildren(make("div", { class: "refusal" }, make("strong", {}, "The connection ended before the answer did"),
    "The server stopped, or the handler failed in the middle of a stream; the server's log says more."));
}

function raw(answer, bytes, type) {
  byId("raw").hidden = false;
  const heads = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
  write(byId("raw-head"), [`HTTP ${answer.status} ${phrase(answer)}`, ...heads].join("\n"));
  const text = new TextDecoder().decode(bytes.slice(0, SHOWN_BYTES));
  write(byId("raw-body"), bytes.length > SHOWN_BYTES ? `${text}\n… ${size(bytes.length)} in all` : text);
  const link = byId("save");
  if (state.saved) URL.revokeObjectURL(state.saved);
  // What is saved is never opened as a page of this origin.
  state.saved = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  link.href = state.saved;
  link.download = `answer${{ "application/json": ".json", "image/png": ".png", "text/plain": ".txt" }[type.split(";")[0]] ?? ""}`;
}

function outcome(text, bad) {
  write(byId("outcome"), text);
  byId("outcome").classList.toggle("bad", bad);
}

function clear() {
  outcome("", false);
  byId("raw").hidden = true;
  byId("answer").replaceChildren(make("p", { class: "empty" }, "What the model says appears here."));
}

// ── What people do ────────────────────────────────────────────────────────────────────────────

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  send(false);
});
byId("explain").addEventListener("click", () => send(true));
byId("stop").addEventListener("click", () => state.running?.abort());
byId("file").addEventListener("change", (event) => take(event.target.files[0]));
for (const id of ["text", "json", "token", "file"]) {
  byId(id).addEventListener("input", () => {
    state.touched = true;
    state.given = null;
    lines();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(false);
});

const drop = byId("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (!file) return;
  take(file);
  send(false);
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (file) take(file);
});

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const copied = await copy(byId(button.dataset.copies));
    write(byId("copied"), copied ? "Copied" : "Select the text and copy it");
    const { firstChild } = button;
    firstChild.data = copied ? "Copied" : "Selected";
    setTimeout(() => { firstChild.data = "Copy"; }, 1500);
  });
}

/** The clipboard is there on https and on this machine only; elsewhere the text is selected. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}

window.addEventListener("hashchange", () => {
  if (!location.hash.startsWith("#/")) return;
  select();
  byId("main").focus({ preventScroll: true });
});
byId("token").addEventListener("change", refresh);
setInterval(() => document.hidden || refresh(), EVERY);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
