// Unpacks what Python computed. Nothing is estimated here: numbers come rounded as they are shown, in thousandths.
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%:()*+-;,=.?@^_`{|}~";

// Base 85: five digits are four bytes; before them stands how many bytes there are.
function bytesOf(told) {
  const [length, text] = told.split(" ");
  const digits = new Uint8Array(128);
  [...DIGITS].forEach((letter, value) => (digits[letter.charCodeAt(0)] = value));
  const words = new DataView(new ArrayBuffer((text.length / 5) * 4));
  for (let at = 0; at < text.length; at += 5) {
    let word = 0;
    for (let place = at; place < at + 5; place++) word = word * 85 + digits[text.charCodeAt(place)];
    words.setUint32((at / 5) * 4, word);
  }
  return new Uint8Array(words.buffer, 0, Number(length));
}

// [value, down to the lower end, up to the upper end, ...] with the ends themselves; no value: a text that says why.
function withEnds(packed) {
  if (typeof packed === "string" || packed[1] === null || packed.length < 3) return packed;
  const [value, below, above, ...more] = packed;
  return [value, value - below, value + above, ...more];
}

// The rows, of their columns.
function rowsOf({ metrics, rates, calibration, ...columns }) {
  return columns.variant.map((_, place) => {
    const row = Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, column[place]]));
    const measured = (found) => found.map((column) => withEnds(column[place]));
    return {
      ...row,
      metrics: measured(metrics),
      groups: row.groups.map((head, group) => [...head, ...rates.map((column) => withEnds(column[place][group]))]),
      calibration: row.curve && { overall: measured(calibration), curve: row.curve },
      raw: row.raw && row.raw.map(withEnds),
      seeds: row.seeds && row.seeds.map(([seed, run, own, ece]) => [seed, run, own.map(withEnds), withEnds(ece)]),
    };
  });
}

async function unpack() {
  const packed = bytesOf(document.getElementById("data").textContent);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(whole.buffer).getUint32(0, true);
  const board = JSON.parse(new TextDecoder().decode(whole.subarray(4, 4 + length)));
  board.rows = rowsOf(board.rows);
  board.planes = whole.subarray(4 + length);
  board.entries = 0;
  let first = 0;
  board.tables.forEach((table, number) => {
    Object.assign(table, { number, first, title: `${table.task} by ${table.axis}`, pairs: board.pairs.tables[number] });
    table.rows = board.rows.slice(first, first + table.size);
    table.rows.forEach((row, place) => Object.assign(row, { number: first + place, place, table }));
    first += table.size;
    if (!table.pairs) return;
    table.pairs.start = board.entries;
    board.entries += table.pairs.size * table.pairs.measures.length;
  });
  return board;
}

// Where the comparison of two rows of a table stands; -1 where there is none.
function pairPlace(pairs, a, b) {
  if (pairs.pairs) return pairs.pairs.findIndex((pair) => pair[0] === a && pair[1] === b);
  return a * pairs.rows - (a * (a + 1)) / 2 + (b - a - 1);
}

// What a row shows of a measure; null where it is undefined.
function shownValue(board, row, metric, group) {
  const entry = group === null ? null : row.groups.find((one) => one[0] === group);
  const packed = group === null ? row.metrics[Object.keys(board.metrics).indexOf(metric)] : entry ? entry[5] : "";
  return typeof packed === "string" ? null : packed[0];
}

// The numbers of all comparisons, as pack.py had them: the columns after the first two lie in the order of these two.
function unpackPairs(board) {
  const { entries, planes } = board;
  const read = (column, at) => planes[2 * column * entries + at] | (planes[(2 * column + 1) * entries + at] << 8);
  const signed = (column, at) => (read(column, at) >> 1) ^ -(read(column, at) & 1);
  const [value, below, above, verdict, detectable] = Array.from({ length: 5 }, () => new Int32Array(entries));
  const keys = new Float64Array(entries);
  for (const table of board.tables.filter((one) => one.pairs)) {
    const { pairs, rows, measures, start, size } = table.pairs;
    const places = Array.from({ length: rows }, (_, row) => row);
    const both = pairs ?? places.flatMap((a) => places.slice(a + 1).map((b) => [a, b]));
    measures.forEach(([metric, group], number) => {
      const shown = table.rows.map((row) => shownValue(board, row, metric, group));
      both.forEach(([a, b], place) => {
        const entry = start + number * size + place;
        value[entry] = signed(0, entry) + (shown[a] === null || shown[b] === null ? 0 : shown[a] - shown[b]);
        below[entry] = read(1, entry);
        const steps = Math.max(-1023, Math.min(1023, Math.floor((value[entry] * 128) / Math.max(below[entry], 1))));
        keys[entry] = ((board.pairs.metrics.indexOf(metric) * 2048 + steps + 1023) * 2048 + below[entry]) * entries + entry;
      });
    });
  }
  let last = 0;
  keys.sort().forEach((key, place) => {
    const entry = key % entries;
    above[entry] = below[entry] + signed(2, place);
    verdict[entry] = last += signed(3, place);
    const farther = Math.max(below[entry], above[entry]);
    detectable[entry] = signed(4, place) + farther + Math.floor(((below[entry] + above[entry]) * 3) / 14);
  });
  return [value, below, above, verdict, detectable];
}

// All measures of row A minus row B (places in the table), or the words for why they were not compared.
function compareRows(board, table, a, b) {
  const pairs = table.pairs;
  const [one, other, sign] = a < b ? [a, b, 1] : [b, a, -1];
  const refused = pairs && pairs.refused.find((entry) => entry[0] === one && entry[1] === other);
  if (refused) return `Not compared: ${refused[2]}.`;
  const place = pairs && pairs.mode !== "none" ? pairPlace(pairs, one, other) : -1;
  if (place < 0) return "Not compared: this board was built without this pair (groupgap board --pairs all).";
  const numbers = (board.numbers ??= unpackPairs(board));
  return pairs.measures.map(([metric, group], number) => {
    const reason = pairs.reasons.find((entry) => entry[0] === number && entry[1] === place);
    if (reason) return { metric, group, reason: reason[2] };
    const entry = pairs.start + number * pairs.size + place;
    const [value, below, above, verdict, detectable] = numbers.map((column) => column[entry]);
    const [p, q, first] = board.pairs.verdicts[verdict];
    const kind = sign < 0 && first % 2 ? 4 - first : first; // who is better, turned with the rows
    const [low, high] = sign > 0 ? [value - below, value + above] : [-value - above, -value + below];
    return { metric, group, value: sign * value, low, high, p, q, kind, detectable };
  });
}
