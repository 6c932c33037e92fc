// One variant on one task: groups, calibration, seeds, other reports, provenance.
const PARTS = { ece: "ECE (15 equal-width bins)", ece_equal_mass: "ECE (equal-mass bins)", ece_positive: "ECE of the positive choice", brier: "Brier score", nll: "negative log-likelihood", signed_gap: "confidence − accuracy" };
const RATE_NAMES = ["accuracy", "selection rate", "TPR", "FPR", "members − others"];

function metricTable(row) {
  const lines = Object.entries(board.metrics).map(([metric, title], place) => {
    const packed = row.metrics[place];
    const chance = typeof packed === "string" || packed[4] === undefined || packed[4] === null
      ? "" : `chance ${number(packed[3])}, 95% under ${number(packed[4])}, p = ${packed[5]}`;
    const raw = row.raw && typeof row.raw[place] !== "string" ? number(row.raw[place][0]) : "";
    const band = row.bands && board.banded.includes(metric) ? row.bands[board.banded.indexOf(metric)] : "";
    const cells = [rowHead(title), estimateCell(packed, metric !== "accuracy" && metric !== "macro_f1"), make("td", {}, chance), make("td", {}, band)];
    return row.raw ? [...cells, make("td", {}, raw)] : cells;
  });
  const header = ["metric", "value [95% interval]", "by chance", "band"];
  return makeTable("Metrics", row.raw ? [...header, `on ${row.raw_task} (raw)`] : header, lines, "plain groups");
}

function groupTable(row) {
  const lines = row.groups.map(([name, n, positives, negatives, leftOut, ...rates]) => [
    rowHead(name, leftOut ? make("small", {}, `left out: ${leftOut}`) : ""),
    make("td", {}, n.toLocaleString("en")), make("td", {}, positives ?? "–"), make("td", {}, negatives ?? "–"),
    rates.map((packed) => estimateCell(packed)),
  ]);
  return makeTable("Each group, with 95% intervals", ["group", "n", "positives", "negatives", ...RATE_NAMES], lines, "groups");
}

function reliability(curve) {
  const size = 240, bins = 15;
  const at = (thousandths) => 30 + (thousandths / 1000) * size;
  const points = curve.map(([, , confidence, accuracy]) => [at(confidence), size + 10 - (accuracy / 1000) * size]);
  const most = Math.max(...curve.map((bin) => bin[1]));
  const total = curve.reduce((sum, bin) => sum + bin[1], 0);
  const label = (x, y, text, anchor = "middle") => draw("text", { x, y, "text-anchor": anchor, class: "tick" }, text);
  const axes = [draw("path", { class: "axis", d: `M30 10V${size + 10}H${size + 30}` }), label(30, size + 24, "0"), label(size + 30, size + 24, "1"), label(24, size + 12, "0", "end"), label(24, 16, "1", "end")];
  const diagram = draw(
    "svg", { viewBox: `0 0 ${size + 50} ${size + 46}`, class: "chart", role: "img", "aria-label": `Reliability diagram: ${curve.map((bin) => `confidence ${number(bin[2])}, right ${number(bin[3])}`).join("; ")}` },
    axes, draw("path", { class: "ideal", d: `M30 ${size + 10}L${size + 30} 10` }), label(size / 2 + 30, size + 40, "confidence (dashed: as it should be)"), label(36, 22, "share right", "start"),
    draw("path", { class: "curve", d: points.map((point, place) => `${place ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}`).join("") }),
    points.map(([x, y]) => draw("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 3.5, class: "best" })),
  );
  const bars = curve.map(([place, n]) => draw("rect", { class: "bars", x: 30 + (place * size) / bins + 1, width: size / bins - 2, y: size + 10 - (n / most) * (size - 20), height: (n / most) * (size - 20) }));
  const histogram = draw(
    "svg", { viewBox: `0 0 ${size + 50} ${size + 46}`, class: "chart", role: "img", "aria-label": `Confidence histogram: ${curve.map((bin) => `${bin[1]} answers at ${number(bin[2])}`).join("; ")}` },
    bars, draw("path", { class: "axis", d: `M30 ${size + 10}H${size + 30}` }), label(30, size + 24, "0"), label(size + 30, size + 24, "1"), label(size / 2 + 30, size + 40, "confidence"), label(36, 22, `${total} answers, largest bar ${most}`, "start"),
  );
  return make("div", { class: "pair" }, make("figure", {}, diagram), make("figure", {}, histogram));
}

function calibrationPart(row) {
  if (!row.calibration) return [];
  const lines = board.calibration.map((name, place) => {
    const packed = row.calibration.overall[place];
    const perfect = typeof packed === "string" || packed[3] === undefined || packed[3] === null ? "" : `a calibrated model: ${number(packed[3])}, 95% under ${number(packed[4])}, p = ${packed[5]}`;
    return [rowHead(PARTS[name]), estimateCell(packed), make("td", {}, perfect)];
  });
  return [
    make("h3", {}, "Calibration"), row.calibration.curve.length ? reliability(row.calibration.curve) : "",
    makeTable("Do the probabilities mean what they say?", ["measure", "value [95% interval]", "beside it"], lines, "groups"),
  ];
}

function seedPart(row) {
  if (!row.seeds) return [];
  const names = Object.values(board.metrics);
  const lines = row.seeds.map(([seed, run, metrics, ece]) => [rowHead(String(seed)), make("td", {}, run), metrics.map((packed) => estimateCell(packed)), estimateCell(ece)]);
  return [make("h3", {}, "Training seeds"), makeTable("Each training, with intervals over documents", ["seed", "run", ...names, "ECE"], lines, "groups")];
}

function blockPart(row) {
  const blocks = board.blocks.filter((block) => block.variant === row.variant && (block.task === null || block.task === row.table.task));
  return blocks.map((block) => [
    make("h3", {}, block.title), block.task ? make("p", { class: "quiet" }, block.task) : "",
    makeTable(block.title, block.columns, block.rows.map((cells) => cells.map((cell) => make("td", {}, cell === null ? "–" : String(cell)))), "groups"),
    block.notes.map((note) => make("p", { class: "quiet" }, note)),
  ]);
}

function provenancePart(row) {
  const runs = row.provenance.map((place) => make("dl", { class: "facts" }, board.provenance[place].map(([key, value]) => [make("dt", {}, key), make("dd", {}, value)])));
  return [make("h3", {}, "Provenance"), runs];
}

function showVariant(row) {
  const dialog = by("variant");
  const facts = [["method", row.method], ["base", row.base], ["seeds", row.seeds ? row.seeds.length : null], ["licence", row.licence], ["trained parameters", row.trained && row.trained.toLocaleString("en")], ["proof of life", row.proof], ["positive choice", row.positive], ["smallest group", row.floor], ["shots", row.shots], ["answers", `${row.n.toLocaleString("en")}${row.limited ? " (limited)" : ""}`]];
  const others = board.rows.filter((other) => other.variant === row.variant);
  const tasks = choice("Task", "of", others.map((other) => [other.table.title, other.table.title]), row.table.title, (of) => change({ of }));
  dialog.replaceChildren(
    make("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close"),
    make("h2", { id: "variant-title", tabindex: "-1" }, row.variant),
    others.length > 1 ? make("div", { class: "controls" }, tasks) : make("p", { class: "quiet" }, row.table.title),
    make("dl", { class: "facts" }, facts.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([key, value]) => [make("dt", {}, key), make("dd", {}, String(value))])),
    ...(row.notes || []).map((note) => make("p", { class: "notice" }, note)),
    metricTable(row), groupTable(row), ...calibrationPart(row).flat(), ...seedPart(row), ...blockPart(row).flat(Infinity).filter(Boolean), ...provenancePart(row).flat(),
  );
  if (!dialog.open) {
    dialog.showModal();
    by("variant-title").focus();
  }
}

function updateVariant() {
  const row = state.row && board.rows.find((one) => one.variant === state.row && (!state.of || one.table.title === state.of));
  if (row) showVariant(row);
  else if (by("variant").open) by("variant").close();
}
