// The slope chart of ranks and the chart of accuracy against a gap.
const label = (x, y, text, anchor, name = "tick") => draw("text", { x, y, "text-anchor": anchor, class: name }, text);
const cut = (text, most = 26) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function slopeConditions() {
  const table = chosenTable();
  if (state.slope && board.banded.includes(state.slope)) {
    return board.tables.map((one) => [one.title, new Map(one.rows.map((row, place) => [row.variant, one.ranks[state.slope][place]]))]);
  }
  return board.banded.map((metric) => [BAND_NAMES[metric], new Map(table.rows.map((row, place) => [row.variant, table.ranks[metric][place]]))]);
}

function slopeChart(conditions, names) {
  const width = 900, left = 190, height = Math.max(140, Math.min(names.length, 40) * 17 + 50);
  const step = (width - 2 * left) / Math.max(conditions.length - 1, 1);
  const most = Math.max(2, ...conditions.flatMap(([, ranks]) => [...ranks.values()].filter((rank) => rank !== null)));
  const y = (rank) => 34 + ((rank - 1) / (most - 1)) * (height - 50);
  const table = chosenTable();
  const chosen = [placeOf(table, state.a, 0), placeOf(table, state.b, table.rows.length - 1)].map((place) => table.rows[place].variant);
  const lines = names.map((name) => {
    const points = conditions.map(([, ranks], place) => [left + place * step, ranks.get(name)]).filter(([, rank]) => rank !== null && rank !== undefined);
    const d = points.map(([x, rank], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y(rank).toFixed(1)}`).join("");
    return draw("path", { class: chosen.includes(name) ? "line chosen" : "line", d }, draw("title", {}, `${name}: ${points.map(([, rank]) => rank).join(", ")}`));
  });
  const ends = [[0, left - 10, "end"], [conditions.length - 1, width - left + 10, "start"]].map(([place, x, anchor]) => {
    const taken = new Map();
    names.forEach((name) => {
      const rank = conditions[place][1].get(name);
      if (rank !== null && rank !== undefined) taken.set(rank, [...(taken.get(rank) || []), name]);
    });
    let last = -99;
    return [...taken].sort((one, other) => one[0] - other[0]).map(([rank, found]) => {
      if (y(rank) - last < 11 && !found.some((name) => chosen.includes(name))) return "";
      last = y(rank);
      const more = found.length > 1 ? ` +${found.length - 1}` : "";
      return label(x, y(rank) + 4, `${rank} ${cut(found[0], 22)}${more}`, anchor, "");
    });
  });
  const heads = conditions.map(([title], place) => [draw("path", { class: "axis", d: `M${left + place * step} 26V${height}` }), label(left + place * step, 14, cut(title, Math.max(10, Math.floor(step / 7))), "middle")]);
  return draw("svg", { viewBox: `0 0 ${width} ${height + 10}`, class: "chart", role: "img", "aria-label": `Ranks of ${names.length} rows under ${conditions.map(([title]) => title).join(", ")}; the best on top` }, heads, lines, ends);
}

function updateSlope() {
  if (!by("slope-chart")) return;
  const options = [["", `metrics, on ${chosenTable().title}`], ...(board.tables.length > 1 ? board.banded.map((metric) => [metric, `tasks, by ${BAND_NAMES[metric]}`]) : [])];
  show(by("slope-choice"), choice("Ranks between", "slope", options, state.slope || "", (value) => change({ slope: value })));
  const conditions = slopeConditions();
  const rows = state.slope ? board.rows : chosenTable().rows;
  const names = [...new Set(rows.filter(rowShown).map((row) => row.variant))];
  by("slope-chart").replaceChildren(
    names.length ? slopeChart(conditions, names) : make("p", {}, "No row is shown: change the filters above."),
    make("p", { class: "quiet" }, "Rank 1 on top; the rows A and B of the comparison stand out. Lines cross by chance, too: the table counts those that do not."),
  );
}

function costChart(table, gap) {
  const names = Object.keys(board.metrics);
  const points = table.rows.filter(rowShown).map((row) => ({ row, x: row.metrics[names.indexOf(gap)], y: row.metrics[names.indexOf("accuracy")] })).filter((one) => typeof one.x !== "string" && typeof one.y !== "string");
  if (!points.length) return make("p", {}, "No row has both numbers.");
  const width = 760, height = 380, left = 60, bottom = 44;
  const far = Math.min(1000, Math.ceil(Math.max(...points.map((one) => one.x[2] ?? one.x[0])) / 100) * 100 || 100);
  const low = Math.max(0, Math.floor(Math.min(...points.map((one) => one.y[1] ?? one.y[0])) / 100) * 100);
  const high = Math.min(1000, Math.ceil(Math.max(...points.map((one) => one.y[2] ?? one.y[0])) / 100) * 100);
  const x = (value) => left + (Math.min(value, far) / far) * (width - left - 20);
  const y = (value) => 14 + ((high - value) / Math.max(high - low, 1)) * (height - 14 - bottom);
  const front = new Set(table.fronts[gap]);
  const best = points.filter((one) => front.has(one.row.place)).sort((one, other) => one.x[0] - other.x[0]);
  const steps = best.map((one, place) => (place ? `H${x(one.x[0])}V${y(one.y[0])}` : `M${x(one.x[0])} ${y(one.y[0])}`)).join("");
  const ticks = [0, 1, 2, 3, 4, 5].map((part) => [
    label(x((far * part) / 5), height - bottom + 18, ((far * part) / 5000).toFixed(2), "middle"),
    label(left - 8, y(low + ((high - low) * part) / 5) + 4, ((low + ((high - low) * part) / 5) / 1000).toFixed(2), "end"),
  ]);
  const marks = points.map(({ row, x: gapOf, y: accuracyOf }) => {
    const isBest = front.has(row.place);
    const whisker = [gapOf[1], accuracyOf[1]].every((end) => end !== null && end !== undefined)
      ? `M${x(gapOf[1])} ${y(accuracyOf[0])}H${x(gapOf[2])}M${x(gapOf[0])} ${y(accuracyOf[1])}V${y(accuracyOf[2])}` : "";
    return [
      draw("path", { class: isBest ? "best-whisker" : "whisker", d: whisker }),
      draw("circle", { class: isBest ? "best" : "dot", cx: x(gapOf[0]), cy: y(accuracyOf[0]), r: isBest ? 5 : 3.5 }, draw("title", {}, `${row.variant}: accuracy ${number(accuracyOf[0])} ${interval(accuracyOf[1], accuracyOf[2])}, gap ${number(gapOf[0])} ${interval(gapOf[1], gapOf[2])}`)),
    ];
  });
  const named = best.map((one, place) => label(x(one.x[0]) - 8, y(one.y[0]) - 8, String(place + 1), "end", "named"));
  const chart = draw(
    "svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `Accuracy against ${board.metrics[gap]}; on the front: ${best.map((one) => one.row.variant).join(", ")}` },
    draw("path", { class: "axis", d: `M${left} 14V${height - bottom}H${width - 20}` }), ticks, label(left + 8, 24, "accuracy", "start"), label(width - 20, height - 6, `${board.metrics[gap]} (0 is best)`, "end"),
    draw("path", { class: "front", d: steps }), marks, named,
  );
  return make("figure", {}, chart, make("figcaption", { class: "quiet" }, `On the front: ${best.map((one, place) => `${place + 1} ${one.row.variant} (accuracy ${number(one.y[0])}, gap ${number(one.x[0])})`).join("; ")}.`));
}

function updateCost() {
  const table = chosenTable();
  const gap = board.costs.includes(state.gap) ? state.gap : "eod";
  show(
    by("cost-choice"), choice("Task", "with", board.tables.map((one) => [one.title, one.title]), table.title, (value) => change({ with: value })),
    choice("Gap", "gap", board.costs.map((name) => [name, board.metrics[name]]), gap, (value) => change({ gap: value })),
  );
  by("cost-chart").replaceChildren(costChart(table, gap));
}
