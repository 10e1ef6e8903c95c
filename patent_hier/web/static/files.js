// Reading of document files in the browser: CSV (also with tabs or semicolons), TXT and JSON lines, in UTF-8, GB18030 or UTF-16.

import { Problem } from "./service.js";
import { say } from "./words.js";

const MOST_BYTES = 20 * 1024 * 1024;
const DELIMITERS = [",", "\t", ";"];
const SHOWN = 40; // most columns of a file, and characters of their names, in a message

/** The documents of a file in order, each {id, text}, with an empty text for an unreadable row; and the columns found by known headers. */
export async function readFile(file, about) {
  if (file.size > MOST_BYTES) throw new Problem(say().errors.fileLarge);
  const content = decode(await file.arrayBuffer());
  const kind = file.name.toLowerCase().split(".").pop();
  const { documents, found } = kind === "csv" || kind === "tsv" ? fromCsv(content, about) : kind === "jsonl" ? fromJson(content, about) : fromLines(content);
  for (const one of documents) if (one.text.includes("\ufffd")) one.text = "";
  if (!documents.some((one) => one.text)) throw new Problem(say().errors.noTexts);
  return { documents, found };
}

function decode(bytes) {
  const octets = new Uint8Array(bytes);
  if (octets[0] === 0xff && octets[1] === 0xfe) return new TextDecoder("utf-16le").decode(bytes); // Excel's "Unicode text"
  if (octets.includes(0)) throw new Problem(say().errors.notText); // such as an Excel workbook
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes); // invalid bytes become U+FFFD, which marks their row as unreadable
  }
}

const lines = (content) => content.replace(/\r?\n$/, "").split(/\r?\n/);
const fromLines = (content) => ({ documents: lines(content).map((text, row) => ({ id: String(row + 1), text: text.trim() })), found: [] });

function fromJson(content, about) {
  const rows = lines(content).map((line) => {
    try {
      const one = JSON.parse(line);
      return Array.isArray(one) ? null : one;
    } catch {
      return null; // an invalid line keeps its position
    }
  });
  const objects = rows.filter((one) => one && typeof one === "object");
  const names = [...new Set(objects.flatMap(Object.keys))];
  const { places, found } = objects.every((one) => one.text != null) ? { places: [], found: [] } : findColumns(names, about);
  const numbers = ["document_id", "id", ...findNumbers(names, about).map((place) => names[place])];
  const documents = rows.map((one, row) => {
    const text = one?.text ?? join(places.map((place) => one?.[names[place]]));
    const number = numbers.map((name) => one?.[name]).find((value) => typeof value === "number" || (typeof value === "string" && value));
    return { id: String(number ?? row + 1), text: typeof text === "string" ? text.trim() : "" };
  });
  return { documents, found };
}

function fromCsv(content, about) {
  const [header, ...rows] = parseCsv(content);
  if (!header) throw new Problem(say().errors.noTexts);
  const names = header.map((name) => name.trim());
  const { places, found } = findColumns(names, about);
  const numbers = [...findNumbers(names, about), names.indexOf("document_id")];
  const id = (cells) => numbers.map((place) => cells[place]).find((value) => value);
  return { documents: rows.map((cells, row) => ({ id: id(cells) ?? String(row + 1), text: join(places.map((place) => cells[place])) })), found };
}

// The two comparisons of names in patent_hier/data/headers.py.
const strictly = (name) => name.normalize("NFKC").replace(/\s/gu, "");
const loosely = (name) => name.normalize("NFKC").toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/**
 * The places of the text columns, each by its name in training, else by a known header, else "text", as in the command line; and
 * those found by a known header, each {field, name, others}, with the names of other columns that also match.
 */
function findColumns(names, about) {
  const folded = names.map(loosely);
  const found = [];
  const places = about.text_fields.map((field) => {
    const own = findNamed(names, field);
    if (own >= 0) return own;
    const [first, ...others] = [...about.text_headers[field], "text"].map((header) => folded.indexOf(header)).filter((place) => place >= 0);
    if (first === undefined) return -1;
    const isPreferred = folded[first] === about.text_headers[field][0]; // set in training, so the others are no alternatives
    found.push({ field, name: shown(names[first]), others: isPreferred ? [] : [...new Set(others)].map((place) => shown(names[place])) });
    return first;
  });
  if (places.includes(-1)) {
    if (!names.length) throw new Problem(say().errors.noTexts);
    const more = names.length > SHOWN ? ["…"] : [];
    throw new Problem(say().errors.noColumn(about.text_fields, [...names.slice(0, SHOWN).map(shown), ...more]));
  }
  return { places: [...new Set(places)], found };
}

/** The place of a name; if there is none, case and punctuation are ignored. */
function findNamed(names, wanted) {
  for (const fold of [strictly, loosely]) {
    const places = [...names.keys()].filter((place) => fold(names[place]) === fold(wanted));
    if (places.length > 1) throw new Problem(say().errors.twoColumns(wanted));
    if (places.length) return places[0];
  }
  return -1;
}

/** The places of the document numbers, the preferred one first. */
function findNumbers(names, about) {
  const folded = names.map(loosely);
  return about.number_headers.map((headers) => headers.map((header) => folded.indexOf(header)).find((place) => place >= 0)).filter((place) => place !== undefined);
}

/** A column name for a one-line message, even if it is not really a name. */
function shown(name) {
  const letters = [...name.slice(0, 3 * SHOWN).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd")];
  return letters.length > SHOWN ? `${letters.slice(0, SHOWN).join("")}…` : letters.join("");
}

/** Join fields as in training: with 。 between them unless the first ends in punctuation. */
function join(values) {
  let text = "";
  for (const value of values) {
    const next = typeof value === "string" ? value.trim() : "";
    if (next) text += text && !/\p{P}$/u.test(text) ? `。${next}` : next;
  }
  return text;
}

/** The delimiter that occurs most often in the header. */
function delimiterOf(content) {
  const header = content.slice(0, 65536).replace(/"[^"]*"/g, "").split("\n", 1)[0];
  const count = (delimiter) => header.split(delimiter).length;
  return DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best));
}

function parseCsv(content) {
  const delimiter = delimiterOf(content);
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < content.length; i += 1) {
    const letter = content[i];
    const row = rows[rows.length - 1];
    if (quoted) {
      if (letter !== '"') row[row.length - 1] += letter;
      else if (content[i + 1] === '"') row[row.length - 1] += content[(i += 1)];
      else quoted = false;
    } else if (letter === '"' && row[row.length - 1] === "") quoted = true;
    else if (letter === delimiter) row.push("");
    else if (letter === "\n") rows.push([""]);
    else if (letter !== "\r") row[row.length - 1] += letter;
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

/** The URL of a CSV file in which spreadsheets run no formulas. */
export function csvAddress(rows) {
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = /^[\t\r\n]|^\s*[=+\-@＝＋－＠]/.test(text) && !/^[+-]?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const content = `\ufeff${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
  return URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
}
