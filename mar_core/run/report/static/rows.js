// The rows of the run: JSON in the page, one a line. What lists need of them is kept; all of a row is read when it
// is looked at.

import { bytesOf } from "./dom.js";

const read = (element) => {
  try {
    return JSON.parse(element.textContent);
  } catch {
    return null; // the last line of a run that was killed
  }
};

/** Everything that the page holds: {rows, asked, parts}; a part is one run, of which a resumed one has several. */
export function everything() {
  const rows = [];
  for (const element of document.querySelectorAll("script.row")) {
    const row = read(element);
    if (row) rows.push(brief(row, element, rows.length));
  }
  let asked = {};
  const parts = new Map();
  for (const element of document.querySelectorAll("script.note")) {
    const note = read(element);
    if (note?.asked) asked = note.asked;
    if (note?.run) parts.set(note.run.begun, note.run);
  }
  return { rows, asked, parts: [...parts.values()] };
}

function brief(row, element, number) {
  const { error, preview, input } = row;
  const truth = input?.truth === undefined ? null : String(input.truth);
  const label = row.label ?? null;
  const said = error ? `${error.type} ${error.message}` : "";
  return {
    element, number, truth, label, at: row.at, id: row.id, score: row.score ?? null,
    kind: error ? `${error.stage}/${error.type}` : null, message: error?.message ?? "",
    wrong: truth !== null && !error && label !== truth, picture: Boolean(preview?.picture),
    words: `${row.id}\n${label ?? ""}\n${said}\n${preview?.text ?? ""}\n${truth ?? ""}`.toLowerCase(),
  };
}

export const whole = (row) => read(row.element);

/** The picture that the preview of a row is, as `view` wants it, or the text that was sent. */
export function sentIn({ preview }) {
  if (preview?.picture) {
    const file = new Blob([bytesOf(preview.picture)], { type: preview.type });
    return { kind: "file", file, width: preview.width, height: preview.height };
  }
  return { kind: "text", text: preview?.text ?? "" };
}

/** What a row answers: its result, or the grid of numbers that it was packed into. */
export async function answerIn(row) {
  if (!row.grid) return row.result;
  const { data, height, width, signed } = row.grid;
  const stream = new Blob([bytesOf(data)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const numbers = signed ? new Int8Array(buffer) : new Uint8Array(buffer);
  return Array.from({ length: height }, (_, y) => Array.from(numbers.subarray(y * width, (y + 1) * width)));
}
