// Which inputs are shown, and in which order.

export const START = { words: "", show: "all", label: "", kind: "", pair: null, order: "doubtful" };

export const SHOWS = { all: "all", failed: "failed", answered: "answered", wrong: "wrong", right: "right" };

export const ORDERS = {
  doubtful: "most doubtful first", sure: "surest first", run: "as they ran", name: "by name",
};

const IS = {
  all: () => true,
  failed: (row) => row.kind !== null,
  answered: (row) => row.kind === null,
  wrong: (row) => row.wrong,
  right: (row) => row.truth !== null && row.kind === null && !row.wrong,
};

// What has no score is neither sure nor doubtful: it comes last.
const doubt = (row) => (row.kind !== null ? -1 : (row.score ?? 2));

const COMPARE = {
  doubtful: (one, other) => doubt(one) - doubt(other) || other.wrong - one.wrong,
  sure: (one, other) => (other.score ?? -1) - (one.score ?? -1),
  run: () => 0,
  name: (one, other) => one.id.localeCompare(other.id, "en", { numeric: true }),
};

/** The rows that a choice takes, in its order. */
export function chosen(rows, { words, show, label, kind, pair, order }) {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => IS[show](row)
    && (!label || row.label === label)
    && (!kind || row.kind === kind)
    && (!pair || (row.kind === null && row.truth === pair.truth && (pair.label === null || row.label === pair.label)))
    && parts.every((part) => row.words.includes(part)));
  return found.sort((one, other) => COMPARE[order](one, other) || one.number - other.number);
}

/** How often there is what, the most frequent first. */
export function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}
