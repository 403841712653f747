// The modes of a search: their names on the page, and the meaning of their scores.

export const MODES = {
  hybrid: { label: "Both", name: "both", how: "by both", title: "Rank by meaning and by words, weighted for this query" },
  dense: { label: "Meaning", name: "meaning", how: "by meaning", unit: "cosine", title: "Rank by the vectors of the encoder" },
  lexical: { label: "Words", name: "words", how: "by words", unit: "BM25", title: "Rank by the words of the query (BM25)" },
  sparse: { label: "Terms", name: "terms", how: "by terms", unit: "sparse", title: "Rank by the weighted terms of the sparse encoder" },
};

/** The choices of modes that a collection offers, the default first: [[value, label, title]]. */
export function choices(modes) {
  const standard = modes.includes("hybrid") ? "hybrid" : "";
  const rows = modes.filter((mode) => mode !== standard && MODES[mode]).map((mode) => [mode, MODES[mode].label, MODES[mode].title]);
  return standard ? [["", modes.includes("sparse") ? "All" : MODES.hybrid.label, MODES.hybrid.title], ...rows] : rows;
}
