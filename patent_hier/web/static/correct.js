// A person's judgement of an answer: it is right, or another label is. Shown if the service stores judgements.

import { openChooser } from "./chooser.js";
import { judge, Problem } from "./service.js";
import { say } from "./words.js";

const place = (id) => document.getElementById(id);
const ASKED = "asked", SAVING = "saving", FAILED = "failed", SAVED = "saved";
const state = { answer: null, free: null, text: "", levels: [], phase: ASKED, request: null, problem: "" };
const failed = new Set(); // judgements that could not be stored; the one for the current answer has its own message

/** Attach the event handlers of the judgement buttons. */
export function listenForJudgements() {
  place("judge-right").addEventListener("click", () => save({ label: state.answer.decision.label, level: state.answer.decision.level }));
  place("judge-wrong").addEventListener("click", () => (place("chooser").hidden ? choose() : shut()));
  place("judge-again").addEventListener("click", () => send(state.request));
  place("unsent-again").addEventListener("click", sendAgain);
}

/**
 * Ask about an answer to a text, and forget the state of the previous one.
 * @param {?object} answer shown answer; null: ask nothing
 * @param {object} free the answer without a chosen label: the model's own answer, the only one that can be right
 */
export function askAbout(answer, free = null, text = "", levels = []) {
  Object.assign(state, { answer, free, text, levels, phase: ASKED, request: null, problem: "" });
}

/** Show the question in the chosen language, with the chooser closed. */
export function showJudgement() {
  place("chooser").hidden = true;
  drawJudgement();
}

function drawJudgement() {
  const { answer, phase, request } = state;
  drawUnsent();
  place("judge").hidden = !answer;
  if (!answer) return;
  const isOpen = !place("chooser").hidden;
  const isUndecided = answer.decision.label === null;
  place("judge-ask").textContent = phase === SAVED ? say().thanks : isUndecided ? say().belongs : say().isRight;
  place("judge-right").textContent = say().judgedRight;
  place("judge-right").hidden = isUndecided || phase === SAVED;
  place("judge-wrong").textContent = isUndecided ? say().choose : say().correctTo;
  place("judge-wrong").hidden = phase === SAVED;
  place("judge-wrong").setAttribute("aria-expanded", String(isOpen));
  place("judge-kept").hidden = phase === SAVED;
  for (const one of place("judge").querySelectorAll("button")) one.disabled = phase === SAVING;
  place("judge-said").textContent = phase === SAVING ? say().saving : phase === SAVED ? said(request) : "";
  place("judge-problem").hidden = phase !== FAILED;
  place("judge-problem").firstElementChild.textContent = phase === FAILED ? state.problem : "";
}

/** Judgements of earlier answers that could not be stored. */
const unsent = () => [...failed].filter((request) => request !== state.request);

function drawUnsent() {
  const count = unsent().length;
  place("unsent").hidden = !count;
  place("unsent").firstElementChild.textContent = count ? say().unsent(count) : "";
}

const said = ({ verdict, predicted, label }) => (verdict === "right" ? say().savedRight(label) : say().saved(predicted ?? say().undecided, label));

function choose() {
  place("chooser").hidden = false;
  openChooser(place("chooser"), state.levels, pathOf(state.answer), save, shut);
  drawJudgement();
}

function shut() {
  place("chooser").hidden = true;
  drawJudgement();
  place("judge-wrong").focus();
}

/** The labels from the top to the answer, or on the likeliest path if there is no answer. */
function pathOf({ decision, paths }) {
  const isAnswer = (step) => step.label === decision.label && step.level === decision.level;
  const path = paths.find(({ steps }) => steps.some(isAnswer)) ?? paths[0];
  const end = path.steps.findIndex(isAnswer);
  return path.steps.slice(0, end < 0 ? undefined : end + 1).map(({ label, level }) => ({ label, level }));
}

function save({ label, level }) {
  const { decision, model_version } = state.free;
  const isRight = label === decision.label && level === decision.level;
  state.request = {
    request_id: uuid(),
    text: state.text,
    verdict: isRight ? "right" : "corrected",
    label,
    level,
    predicted: decision.label,
    probability: decision.label === null ? null : Math.min(1, decision.confidence),
    model_version,
  };
  send(state.request);
}

/** Send a judgement; a failed one is sent again unchanged, so that the service stores it once. */
async function send(request) {
  state.phase = SAVING;
  drawJudgement();
  try {
    await judge(request);
    failed.delete(request);
    if (state.request !== request) return drawUnsent(); // the page shows another answer by now
    state.phase = SAVED;
    place("chooser").hidden = true;
    drawJudgement();
    place("judge").focus();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    failed.add(request);
    if (state.request !== request) return drawUnsent();
    Object.assign(state, { phase: FAILED, problem: problem.message });
    drawJudgement();
    place("judge-again").focus();
  }
}

/** Send the judgements of earlier answers again, one by one, until one fails. */
async function sendAgain() {
  const button = place("unsent-again");
  button.disabled = true;
  try {
    for (const request of unsent()) {
      await judge(request);
      failed.delete(request);
      drawUnsent();
    }
    place("text").focus();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    place("unsent").firstElementChild.textContent = `${say().unsent(unsent().length)} ${problem.message}`;
  } finally {
    button.disabled = false;
  }
}

/** A random UUID; browsers provide randomUUID only on this machine or over TLS. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
