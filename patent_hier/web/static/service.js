// Requests to the service, with readable error messages.

import { say } from "./words.js";

const TRIES = 8;

export class Problem extends Error {}

const names = new Map();

/** Facts about the model. */
export const facts = async () => ({ about: await get("/about") });

/** The names of a label, as far as an answer has provided them: {title, zh, en}. */
export const namesOf = (code) => names.get(code) ?? {};

/** Classify one text; the titles of its labels are remembered. */
export async function predict(question, signal) {
  const answer = await post("/predict", { ...question, names: true }, signal);
  learn(answer.names);
  return answer;
}

/** The labels directly below a step of a path, or the first level if parent is null, from an offset on. */
export async function children(parent, offset) {
  const query = new URLSearchParams({ offset, ...(parent && { parent: parent.label, level: parent.level }) });
  const family = await get(`/taxonomy?${query}`, say().errors.labels);
  learn(family.children);
  return family;
}

function learn(labels) {
  for (const one of labels) names.set(one.code, one);
}

/** Classify several texts; waits and tries again while the service is busy. */
export async function batch(question, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await post("/batch", question, signal)).results;
    } catch (problem) {
      if (!(problem instanceof Problem) || !problem.again || attempt === TRIES) throw problem;
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  }
}

/** Store a judgement of an answer. */
export const judge = (request) => post("/feedback", request, undefined, say().errors.unsaved);

async function get(address, otherwise) {
  return read(() => fetch(address), otherwise);
}

async function post(address, question, signal, otherwise) {
  const headers = { "content-type": "application/json" };
  return read(() => fetch(address, { method: "POST", headers, body: JSON.stringify(question), signal }), otherwise);
}

/** Return a response's content, or throw a readable message: ``otherwise`` if there is no better one. */
async function read(ask, otherwise = say().errors.bad) {
  let answer;
  try {
    answer = await ask();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(say().errors.offline);
  }
  if (answer.ok) return answer.json();
  const code = await answer.json().then((content) => content.error.code, () => "");
  const again = answer.status === 429 || answer.status === 503;
  const words = say().errors[code] ?? (again ? say().errors.busy : answer.status === 413 ? say().errors.long : otherwise);
  throw Object.assign(new Problem(words), { again });
}
