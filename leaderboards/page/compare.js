// Two rows side by side: what Python computed of this pair, in numbers and words.
const CANNOT = 0, BETTER_A = 1, ALONE = 2, BETTER_B = 3;
const BAND_NAMES = { accuracy: "accuracy", worst_group: "worst group", dpd: "DPD", eod: "EOD" };

function verdict(found) {
  if (found.reason) return `undefined (${found.reason})`;
  const unseen = found.detectable >= 1000 ? "no difference of any size would be seen" : `a difference under ${number(found.detectable)} would not be seen`;
  if (found.kind === ALONE) return `cannot be told apart among all tests here; ${unseen}`;
  if (found.kind === CANNOT) return `cannot be told apart: ${unseen}`;
  const gap = board.better[found.metric] ? "" : " (the smaller gap)";
  return `${found.kind === BETTER_A ? "A" : "B"} is better${gap} ${byHowMuch(found)}`;
}

const isApart = (found) => found.kind === BETTER_A || found.kind === BETTER_B;
const byHowMuch = (found) => (found.value ? `by ${number(Math.abs(found.value))}` : "by less than 0.001");

// The interval of a difference on a line from -scale to scale, with the 0 in the middle.
function differenceBar(found, scale) {
  const at = (value) => Math.round(50 + (Math.max(-scale, Math.min(scale, value)) / scale) * 50);
  const [low, high] = [at(found.low), at(found.high)];
  return draw("svg", { "aria-hidden": "true" }, draw("path", { class: "zero", d: "M50 0v10" }), draw("path", { d: `M${low} 5h${Math.max(high - low, 1)}M${at(found.value)} 1v8` }));
}

function sentence(found) {
  const named = (one) => (one.group ? `accuracy of ${one.group}` : BAND_NAMES[one.metric]);
  const side = (kind) => found.filter((one) => one.kind === kind).map((one) => `${named(one)} (${byHowMuch(one)})`);
  const sides = [["A", side(BETTER_A)], ["B", side(BETTER_B)]].filter(([, better]) => better.length);
  const parts = sides.map(([letter, better]) => `${letter} is better in ${better.join(", ")}.`);
  return parts.length ? `${parts.join(" ")} Nothing else can be told apart.` : "Nothing can be told apart: see what would have been seen.";
}

function comparison(table, a, b) {
  if (a === b) return [make("p", { class: "verdict" }, "A and B are the same row: choose two.")];
  const found = compareRows(board, table, a, b);
  if (typeof found === "string") return [make("p", { class: "verdict" }, found)];
  const [rowA, rowB] = [table.rows[a], table.rows[b]];
  const scale = Math.max(50, ...found.filter((one) => !one.reason).map((one) => Math.max(Math.abs(one.low), Math.abs(one.high))));
  const own = (row, one) => {
    const group = row.groups.find((entry) => entry[0] === one.group);
    const packed = one.group === null ? row.metrics[Object.keys(board.metrics).indexOf(one.metric)] : group ? group[5] : "not asked";
    return estimateCell(packed, one.metric === "worst_group");
  };
  const lines = found.map((one) => {
    const name = rowHead(one.group ?? BAND_NAMES[one.metric], one.group === null ? "" : make("small", {}, "accuracy of this group"));
    if (one.reason) return [name, own(rowA, one), own(rowB, one), make("td", { class: "u", colspan: 4 }, verdict(one))];
    const difference = make("td", { class: isApart(one) ? "apart" : "" }, signedNumber(one.value), " ", make("i", {}, interval(one.low, one.high)), differenceBar(one, scale));
    return [name, own(rowA, one), own(rowB, one), difference, make("td", {}, one.p), make("td", {}, one.q), make("td", { class: isApart(one) ? "apart" : "" }, verdict(one))];
  });
  return [
    make("p", { class: "verdict" }, make("strong", {}, "A = ", rowA.variant, ", B = ", rowB.variant, ". "), sentence(found)),
    makeTable(`Differences on ${table.title}, 95% intervals; bars from ${number(-scale)} to ${number(scale)}`, ["what", "A", "B", "A − B", "p", "q", "in words"], lines, "comparison"),
  ];
}

const chosenTable = () => board.tables.find((one) => one.title === state.with) || board.tables.find(tableShown) || board.tables[0];
const placeOf = (table, name, otherwise) => {
  const place = table.rows.findIndex((row) => row.variant === name);
  return place < 0 ? otherwise : place;
};

function updateComparison() {
  const table = chosenTable();
  const a = placeOf(table, state.a, 0);
  const b = placeOf(table, state.b, table.rows.length - 1);
  const names = table.rows.map((row) => [row.variant, row.variant]);
  const fields = [choice("A", "a", names, table.rows[a].variant, (value) => change({ a: value })), choice("B", "b", names, table.rows[b].variant, (value) => change({ b: value }))];
  const swap = make("button", { type: "button", name: "swap", onclick: () => change({ a: table.rows[b].variant, b: table.rows[a].variant }) }, "Swap A and B");
  const tables = board.tables.map((one) => [one.title, one.title]);
  show(by("choice"), choice("Task", "with", tables, table.title, (value) => change({ with: value })), ...fields, swap);
  by("comparison").replaceChildren(...(table.rows.length < 2 ? [make("p", {}, "This table has one row only.")] : comparison(table, a, b)));
}
