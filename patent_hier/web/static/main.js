// Event handling of the page.

import { explain, meaning, show } from "./answer.js";
import { classifyFile, sort, stop } from "./batch.js";
import { askAbout, listenForJudgements, showJudgement } from "./correct.js";
import { item, made } from "./elements.js";
import { facts, predict, Problem } from "./service.js";
import { chosen, EXAMPLES, say, speak } from "./words.js";

const place = (id) => document.getElementById(id);
const MOST = 20; // labels of a level; more than are shown, because siblings need their probabilities
const state = { facts: null, forced: null, answer: null, free: null, freeOf: "", asking: null, example: 0 };

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // the browser stores nothing
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

const target = () => (place("careful").checked ? Number(place("target").value) / 100 : null);
const forced = () => (state.forced ? [`${state.forced.level}:${state.forced.code}`] : []);

function complain(words) {
  place("problem").hidden = !words;
  place("problem").textContent = words ?? "";
}

function present(which) {
  for (const id of ["empty", "busy", "result"]) place(id).hidden = id !== which;
  place("answer").setAttribute("aria-busy", String(which === "busy"));
}

/** Classify the text and show the answer; return false if there is none. */
async function classify(drawn = () => {}) {
  const text = place("text").value.trim();
  complain(null);
  if (!text) {
    complain(say().errors.empty);
    place("text").focus();
    return false;
  }
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  if (!state.answer) present("busy");
  place("answer").setAttribute("aria-busy", "true");
  let isShown = false;
  try {
    const about = state.facts?.about;
    const top_k = Math.min(MOST, about?.labels[about.levels.at(-1)] ?? 1);
    const question = { text, top_k, target_accuracy: target(), force: forced(), neighbours: about?.has_neighbours ? 5 : 0 };
    const of = JSON.stringify([text, question.target_accuracy]);
    const isKnown = question.force.length && state.freeOf === of;
    const free = isKnown ? state.free : await predict({ ...question, force: [] }, asking.signal);
    const answer = question.force.length ? await predict(question, asking.signal) : free;
    Object.assign(state, { answer, free, freeOf: of });
    askAbout(about?.feedback ? answer : null, free, text, about?.levels);
    draw();
    drawn();
    isShown = true;
    if (place("why").checked) await giveReasons({ ...question, explain: true }, asking.signal);
  } catch (problem) {
    if (problem.name === "AbortError") return true; // replaced by the next question
    if (!(problem instanceof Problem)) throw problem;
    present(state.answer ? "result" : "empty");
    complain(problem.message);
    return isShown;
  }
  return true;
}

/** Show the reasons after the answer, because they take longer. */
async function giveReasons(question, signal) {
  place("explaining").hidden = false;
  try {
    state.answer = await predict(question, signal);
    explain(state.answer.explanation); // redraws the reasons only, so that open lists and the focus stay
  } finally {
    place("explaining").hidden = true;
  }
}

function draw() {
  if (!state.answer || !state.facts) return;
  show(state.answer, state.free, state.facts.about.levels, state.forced, choose);
  showJudgement();
  present("result");
}

/** Limit the answer to a label, or remove the limit, and restore the focus to its place on the path. */
async function choose(code, level = null) {
  const before = state.forced;
  const wanted = (state.forced = code ? { code, level } : null);
  const had = place("result").contains(document.activeElement);
  const isAnswered = await classify(() => had && document.querySelector(`#steps [data-level="${level}"]`)?.focus());
  if (!isAnswered && state.forced === wanted) state.forced = before; // the page still shows the answer for that label
}

function count() {
  const limit = state.facts?.about.limits.characters;
  if (!limit) return;
  const length = Array.from(place("text").value).length;
  place("count").textContent = say().characters(length, limit);
  complain(length > limit ? say().errors.long : null);
}

function explainTarget() {
  place("percent").textContent = `${place("target").value} %`;
  place("asked").hidden = !place("careful").checked;
  if (state.facts) place("meaning").textContent = meaning(Number(place("target").value), state.facts.about);
}

function translate(language) {
  speak(language, state.facts?.about.levels ?? ["section", "class"]);
  place("language").textContent = language === "zh" ? "English" : "中文";
  place("language").lang = language === "zh" ? "en" : "zh-CN";
  if (state.facts) {
    place("model").textContent = say().model(state.facts.about);
    listBlocked(state.facts.about.blocked);
  }
  count();
  explainTarget();
  draw();
}

function listBlocked({ count, places }) {
  const box = place("blocked");
  box.hidden = !count;
  box.querySelector("summary").textContent = say().blocked(count);
  const more = count > places.length ? [item(made("span", say().more(count - places.length)))] : [];
  box.querySelector("ul").replaceChildren(...places.map((one) => item(made("span", `${one.label} · ${one.reason}`))), ...more);
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  place("theme").setAttribute("aria-pressed", String(theme === "dark"));
}

function clear() {
  state.asking?.abort();
  Object.assign(state, { forced: null, answer: null, free: null, freeOf: "" });
  askAbout(null);
  showJudgement();
  place("text").value = "";
  present("empty");
  count();
  place("text").focus();
}

function takeFile(file) {
  if (file && state.facts) classifyFile(file, state.facts, { top_k: 3, target_accuracy: target() });
}

function listen() {
  const { text, question, target: slider, careful } = Object.fromEntries(["text", "question", "target", "careful"].map((id) => [id, place(id)]));
  question.addEventListener("submit", (event) => {
    event.preventDefault();
    classify();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) classify();
  });
  text.addEventListener("input", () => {
    state.forced = null; // it was chosen for another text
    count();
  });
  slider.addEventListener("input", explainTarget);
  slider.addEventListener("change", () => state.answer && classify());
  careful.addEventListener("change", () => {
    explainTarget();
    if (state.answer) classify();
  });
  place("why").addEventListener("change", () => state.answer && classify());
  place("example").addEventListener("click", () => {
    state.forced = null;
    text.value = EXAMPLES[state.example++ % EXAMPLES.length];
    count();
    classify();
  });
  place("clear").addEventListener("click", clear);
  place("release").addEventListener("click", () => choose(null, state.forced?.level));
  place("file").addEventListener("change", (event) => {
    takeFile(event.target.files[0]);
    event.target.value = "";
  });
  place("stop").addEventListener("click", stop);
  place("by-review").addEventListener("click", sort);
  place("close").addEventListener("click", () => {
    stop();
    place("batch").hidden = true;
  });
  place("language").addEventListener("click", () => {
    translate(chosen() === "zh" ? "en" : "zh");
    remember("language", chosen());
  });
  listenForJudgements();
  place("theme").addEventListener("click", () => {
    paint(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    remember("theme", document.documentElement.dataset.theme);
  });
  for (const kind of ["dragover", "drop", "dragleave"]) {
    question.addEventListener(kind, (event) => {
      event.preventDefault();
      question.classList.toggle("drop", kind === "dragover");
      if (kind === "drop") takeFile(event.dataTransfer.files[0]);
    });
  }
}

async function start() {
  paint(remembered("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  translate(remembered("language") ?? "zh");
  listen();
  try {
    state.facts = await facts();
  } catch (problem) {
    complain(problem.message);
    return;
  }
  if (state.facts.about.feedback) place("footer").dataset.say = "footerStored";
  place("demo").hidden = !state.facts.about.is_demo;
  place("careful").disabled = !Object.keys(state.facts.about.targets).length;
  translate(chosen());
}

start();
