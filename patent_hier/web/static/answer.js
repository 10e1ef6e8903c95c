// One answer on the page. Foreign text only ever becomes text, never markup.

import { chosen, methodName, percent, say } from "./words.js";

const place = (id) => document.getElementById(id);

function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Show an answer; onSection is called with the section that was clicked. */
export function show(answer, names, forced, onSection) {
  const name = (code) => names.get(code)?.[chosen()] ?? "";
  decide(answer.decision, name, forced);
  place("forced").hidden = !forced;
  if (forced) place("forced").firstElementChild.textContent = say().forcedTo(`${forced} ${name(forced)}`);
  place("sections").replaceChildren(...answer.sections.map((one) => {
    const button = bar("button", one.section, one.probability, name(one.section));
    button.type = "button";
    button.setAttribute("aria-pressed", String(one.section === forced));
    button.addEventListener("click", () => onSection(one.section === forced ? null : one.section));
    return item(button);
  }));
  const share = (path) => (forced ? path.class_given_section : path.probability);
  place("classes").replaceChildren(...answer.paths.map((path) => item(bar("div", path.ipc_class, share(path), name(path.ipc_class)))));
  explain(answer.explanation);
  similar(answer.neighbours ?? []);
  place("version").textContent = say().version(answer.model_version);
}

function decide(decision, name, forced) {
  const heading = decision.label ? `${decision.label} ${name(decision.label)}` : say().unsure;
  const card = place("decision");
  card.className = decision.level;
  const isGiven = forced && decision.level === "section";
  const words = isGiven ? say().given : say().confidence(percent(decision.confidence), say()[decision.level]);
  card.replaceChildren(made("strong", heading), made("p", words));
}

function item(element) {
  const row = document.createElement("li");
  row.append(element);
  return row;
}

function bar(tag, code, probability, name) {
  const element = document.createElement(tag);
  const fill = made("span", "", "fill");
  fill.style.width = `${100 * probability}%`;
  element.append(fill, made("b", code), made("span", percent(probability)), made("span", name, "name"));
  return element;
}

function explain(explanation) {
  place("reasons").hidden = !explanation || !explanation.spans.length;
  if (place("reasons").hidden) return;
  const letters = Array.from(explanation.text); // offsets count characters, JavaScript's strings do not
  const most = Math.max(...explanation.spans.map((span) => Math.abs(span.score)), 1e-9);
  const parts = [];
  let end = 0;
  for (const span of explanation.spans) {
    parts.push(letters.slice(end, span.start).join(""));
    const mark = made("mark", letters.slice(span.start, span.end).join(""));
    const depth = (0.6 * Math.abs(span.score)) / most;
    mark.style.backgroundColor = `rgba(var(${span.score > 0 ? "--for" : "--against"}), ${depth.toFixed(3)})`;
    mark.title = span.score.toFixed(3);
    parts.push(mark);
    end = span.end;
  }
  parts.push(letters.slice(end).join(""));
  place("spans").replaceChildren(...parts);
  place("legend").textContent = say().legend(explanation.label, methodName(explanation.method));
}

function similar(neighbours) {
  place("similar").hidden = !neighbours.length;
  place("neighbours").replaceChildren(
    ...neighbours.map((one) => made("li", `${one.ipc_class} · ${one.title || one.document_id} · ${one.document_id} · ${percent(one.similarity, 0)}`)),
  );
}

/** What the wanted accuracy came to on test documents. */
export function meaning(target, about) {
  const reached = about.targets[(target / 100).toFixed(2)];
  if (!reached) return say().noTargets;
  const right = (score) => (score ? say().right(percent(score.value)) : "");
  return say().meaning({
    n: reached.n_documents,
    class: percent(reached.class_coverage),
    classRight: right(reached.class_accuracy),
    section: percent(reached.section_coverage),
    sectionRight: right(reached.section_accuracy),
    none: percent(reached.undecided),
  });
}
