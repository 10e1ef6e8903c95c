// Questions to the service, with errors that a person can read.

import { say } from "./words.js";

const TRIES = 8;

export class Problem extends Error {}

/** Facts about the model: /about and /taxonomy. */
export async function facts() {
  const [about, taxonomy] = await Promise.all([get("/about"), get("/taxonomy")]);
  return { about, names: new Map(taxonomy.labels.map((one) => [one.code, one])) };
}

/** The answer to one text. */
export const predict = (question, signal) => post("/predict", question, signal);

/** The answers to several texts; waits and asks again while the service is busy. */
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

async function get(address) {
  return read(() => fetch(address, { cache: "no-store" }));
}

async function post(address, question, signal) {
  const headers = { "content-type": "application/json" };
  return read(() => fetch(address, { method: "POST", headers, body: JSON.stringify(question), signal }));
}

async function read(ask) {
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
  const words = again ? say().errors.busy : answer.status === 413 ? say().errors.long : say().errors[code] ?? say().errors.bad;
  throw Object.assign(new Problem(words), { again });
}
