// Unpacks what Python computed. Nothing is estimated here: numbers come rounded as they are shown, in thousandths.
const COLUMNS = 5;

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

async function unpack() {
  const packed = bytesOf(document.getElementById("data").textContent);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(whole.buffer).getUint32(0, true);
  const board = JSON.parse(new TextDecoder().decode(whole.subarray(4, 4 + length)));
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

function unsigned(board, column, entry) {
  const at = 2 * column * board.entries + entry;
  return board.planes[at] | (board.planes[at + board.entries] << 8);
}

function signed(board, column, entry) {
  const value = unsigned(board, column, entry);
  return value & 1 ? -((value + 1) >> 1) : value >> 1;
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

// All measures of row A minus row B (places in the table), or the words for why they were not compared.
function compareRows(board, table, a, b) {
  const pairs = table.pairs;
  const [one, other, sign] = a < b ? [a, b, 1] : [b, a, -1];
  const refused = pairs && pairs.refused.find((entry) => entry[0] === one && entry[1] === other);
  if (refused) return `Not compared: ${refused[2]}.`;
  const place = pairs && pairs.mode !== "none" ? pairPlace(pairs, one, other) : -1;
  if (place < 0) return "Not compared: this board was built without this pair (groupgap board --pairs all).";
  return pairs.measures.map(([metric, group], number) => {
    const reason = pairs.reasons.find((entry) => entry[0] === number && entry[1] === place);
    if (reason) return { metric, group, reason: reason[2] };
    const entry = pairs.start + number * pairs.size + place;
    const [shownA, shownB] = [one, other].map((row) => shownValue(board, table.rows[row], metric, group));
    const value = signed(board, 0, entry) + (shownA === null || shownB === null ? 0 : shownA - shownB);
    const below = unsigned(board, 1, entry);
    const above = below + signed(board, 2, entry);
    const [p, q, kind] = board.pairs.verdicts[unsigned(board, 3, entry)];
    const detectable = signed(board, 4, entry) + Math.floor(((below + above) * 5) / 7);
    const [low, high] = sign > 0 ? [value - below, value + above] : [-value - above, -value + below];
    return { metric, group, value: sign * value, low, high, p, q, kind, detectable };
  });
}
