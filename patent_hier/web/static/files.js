// Reading of document files in the browser: CSV, TXT and JSON lines, in UTF-8 or GB18030.

import { Problem } from "./service.js";
import { say } from "./words.js";

const MOST_BYTES = 20 * 1024 * 1024;
const OURS = { 摘要: "abstract", 专利名称: "title" };

/** The documents of a file in order, each {id, text}; text is empty if a row has none. */
export async function readFile(file, fields) {
  if (file.size > MOST_BYTES) throw new Problem(say().errors.fileLarge);
  const content = decode(await file.arrayBuffer());
  const kind = file.name.toLowerCase().split(".").pop();
  const documents = kind === "csv" ? fromCsv(content, fields) : kind === "jsonl" ? fromJson(content, fields) : fromLines(content);
  for (const one of documents) if (one.text.includes("\ufffd")) one.text = "";
  if (!documents.some((one) => one.text)) throw new Problem(say().errors.noTexts);
  return documents;
}

function decode(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes); // invalid bytes become U+FFFD, which marks their row as unreadable
  }
}

const lines = (content) => content.replace(/\r?\n$/, "").split(/\r?\n/);
const fromLines = (content) => lines(content).map((text, row) => ({ id: String(row + 1), text: text.trim() }));

function fromJson(content, fields) {
  return lines(content).map((line, row) => {
    let one = null;
    try {
      one = JSON.parse(line);
    } catch {
      // an invalid line keeps its position
    }
    const text = one?.text ?? join(fields.map((field) => one?.[field] ?? one?.[OURS[field]]));
    return { id: String(one?.id ?? one?.document_id ?? row + 1), text: typeof text === "string" ? text.trim() : "" };
  });
}

function fromCsv(content, fields) {
  const [header, ...rows] = parseCsv(content);
  const names = header.map((name) => name.trim());
  const places = fields.map((field) => [field, OURS[field], "text"].map((name) => names.indexOf(name)).find((place) => place >= 0) ?? -1);
  if (places.some((place) => place < 0)) throw new Problem(say().errors.noColumn(fields.join("、")));
  const number = ["公开号", "公开（公告）号", "申请号", "document_id", "id"].map((name) => names.indexOf(name)).find((place) => place >= 0) ?? -1;
  return rows.map((cells, row) => ({ id: cells[number] || String(row + 1), text: join([...new Set(places)].map((place) => cells[place])) }));
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

function parseCsv(content) {
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
    else if (letter === ",") row.push("");
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
