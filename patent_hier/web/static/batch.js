// Classification of a file in portions, with progress and a CSV download.

import { kind } from "./answer.js";
import { csvAddress, readFile } from "./files.js";
import { batch, Problem } from "./service.js";
import { decided, percent, say } from "./words.js";

const SHOWN = 500; // rows shown in the table
const PORTION = 150 * 1024; // bytes in a request
const place = (id) => document.getElementById(id);
let running = null;
let current = null; // content of the table: {answers, levels}

/** Classify a file; the options apply to each text. */
export async function classifyFile(file, facts, options) {
  running?.abort();
  const own = (running = new AbortController());
  begin(file);
  try {
    const { documents, found } = await readFile(file, facts.about);
    if (running !== own) return;
    place("columns").textContent = found.length ? say().columns(found, facts.about.text_fields.length > 1) : "";
    for (const id of ["columns", "progress", "stop"]) place(id).hidden = id === "columns" && !found.length;
    const answers = [];
    for (const portion of portions(documents, facts.about.limits)) {
      const asked = portion.filter((one) => one.text);
      const results = asked.length ? await batch({ ...options, triage: true, texts: asked.map((one) => one.text) }, own.signal) : [];
      for (const one of portion) answers.push({ ...one, ...(one.text ? results.shift() : { error: say().errors.bad_text }) });
      show(answers, documents.length, facts.about.levels);
    }
    offer(answers, file, facts.about.levels);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (!(problem instanceof Problem)) throw problem;
    if (running !== own) return; // another file is shown
    place("batch-problem").textContent = problem.message;
    place("batch-problem").hidden = false;
    place("progress").hidden = !current;
  } finally {
    if (running === own) place("stop").hidden = true;
  }
}

/** Toggle between review order and the file's order. */
export function sort() {
  const first = place("review").getAttribute("aria-sort") === "none";
  place("review").setAttribute("aria-sort", first ? "descending" : "none");
  if (current) draw(0);
}

/** Stop the current classification. */
export function stop() {
  running?.abort();
  place("stop").hidden = true;
}

function begin(file) {
  for (const id of ["batch-problem", "download", "columns", "progress", "stop", "answers"]) place(id).hidden = true;
  place("batch").hidden = false;
  place("file-name").textContent = file.name;
  place("rows").replaceChildren();
  place("review").setAttribute("aria-sort", "none");
  current = null;
  place("tally").textContent = place("done").textContent = "";
  place("progress").value = 0;
  place("batch").scrollIntoView({ block: "nearest" });
}

function* portions(documents, limits) {
  let portion = [];
  let size = 0;
  for (const one of documents) {
    const bytes = 3 * one.text.length + 8;
    if (portion.length === limits.texts || (portion.length && size + bytes > PORTION)) {
      yield portion;
      [portion, size] = [[], 0];
    }
    portion.push(one);
    size += bytes;
  }
  if (portion.length) yield portion;
}

function show(answers, total, levels) {
  place("progress").value = answers.length / total;
  place("done").textContent = say().rows(answers.length, total);
  const count = (level) => answers.filter((one) => one.prediction?.decision.level === level).length;
  const counts = levels.toReversed().map((level) => [decided(level, levels), count(level)]);
  const errors = answers.filter((one) => !one.prediction).length;
  const unreviewed = answers.filter((one) => one.prediction && one.review === undefined).length;
  const more = (unreviewed ? ` ${say().unreviewed(unreviewed)}` : "") + (total > SHOWN ? ` ${say().shown(SHOWN)}` : "");
  place("tally").textContent = say().tally(counts, count("undecided"), errors) + more;
  current = { answers, levels };
  place("answers").hidden = false;
  draw(place("rows").childElementCount);
}

/** Draw the rows from an index on; in review order all rows, since the newest may come first. */
function draw(from) {
  const { answers, levels } = current;
  const isSorted = place("review").getAttribute("aria-sort") === "descending";
  const start = isSorted ? 0 : from;
  const ordered = isSorted ? answers.toSorted((one, other) => risk(other) - risk(one)) : answers;
  if (!start) place("rows").replaceChildren();
  place("rows").append(...ordered.slice(start, SHOWN).map((one) => row(one, levels)));
}

function row(one, levels) {
  const decision = one.prediction?.decision;
  const cells = [one.id, one.text.slice(0, 80), decision ? (decision.label ?? say().undecided) : one.error, decision ? percent(decision.confidence) : "", review(one)];
  const line = document.createElement("tr");
  for (const text of cells) line.insertCell().textContent = text;
  line.cells[2].className = decision ? kind(decision, levels) : "error";
  return line;
}

/** The sort key of a row: the risk of error or, if the service could not estimate it, 1 minus the probability. */
const risk = (one) => one.review ?? (one.prediction ? 1 - one.prediction.paths[0].probability : -1);

/** The risk of error and the reason to review a row, as far as known. */
function review(one) {
  if (one.review === undefined) return "";
  const labels = Object.values(one.prediction.levels).at(-1).map((own) => own.label);
  return `${percent(one.review, 0)} ${one.why ? say().whys[one.why](...labels) : ""}`.trim();
}

function offer(answers, file, levels) {
  const above = levels.slice(0, -1);
  const ranks = [0, 1, 2];
  const ranked = ranks.flatMap((k) => [`${levels.at(-1)}_${k + 1}`, `probability_${k + 1}`]);
  const header = ["document_id", "text", "decision", "label", "confidence", ...above.map((level) => `${level}_1`), ...ranked, "review", "why", "strange", "error"];
  const rows = answers.map(({ id, text, prediction, error, review: error_probability, why }) => {
    if (!prediction) return [id, text, ...Array(header.length - 3).fill(""), error];
    const { decision, paths } = prediction;
    const best = paths[0].steps.slice(0, above.length).map((step) => step.label);
    const labels = ranks.flatMap((k) => [paths[k]?.label, paths[k]?.probability.toFixed(6)]);
    return [id, text, decision.level, decision.label, decision.confidence.toFixed(6), ...above.map((_, place) => best[place]), ...labels, error_probability?.toFixed(6), why, prediction.strange ?? "", ""];
  });
  const button = place("download");
  button.hidden = false;
  button.onclick = () => {
    const link = document.createElement("a");
    link.href = csvAddress([header, ...rows]);
    link.download = `${file.name.replace(/\.[^.]*$/, "")}.predicted.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
}
