"use strict";
// Draws attention between two texts. All content comes from the JSON block and is added to the page as text only.

const data = JSON.parse(document.getElementById("data").textContent);
const n = data.tokens.length;
const weights = decode(data.weights); // share of 65535, [layer][head][from][to]
const state = { layer: data.layers.indexOf(data.start), heads: new Set(), mean: true, pointed: null, focused: null };
const FAINTEST = 0.02; // lines below this opacity would be invisible
const FULL = 0.2; // smallest weight drawn as a full line, so that even attention does not look strong

const words = {
  en: {
    legend: (strongest, full) => `Opacity: weight relative to ${percent(full)}; the strongest link in view has ` +
      `${percent(strongest)}. Lines below ${FAINTEST * 100} % opacity are not drawn. `,
    mean: "One colour: mean of all heads.", heads: "Colours: heads.", none: "No head is selected.",
    hint: "Point at a token to see its strongest links.",
    from: "attends to", to: "is attended to by", equal: "uniform",
    token: (i, side) => `token ${i + 1}, ${side === "from" ? "attends" : "is attended to"}: ${data.tokens[i]}`,
    encoder: (d) => `${d.encoder}, ${d.num_layers} layers, ${data.heads} heads per layer` +
      (data.layers.length < d.num_layers ? "; long texts, so this page contains only some layers" : ""),
    head: (h) => `head ${h + 1}`, canvas: "Lines between the tokens; the links of each token are listed below.",
  },
  "zh-CN": {
    legend: (strongest, full) => `不透明度：权重与 ${percent(full)} 之比；当前视图中最强的连线为 ${percent(strongest)}。` +
      `不透明度低于 ${FAINTEST * 100} % 的线不画。`,
    mean: "单色：所有头的平均。", heads: "颜色：不同的头。", none: "未选择任何头。",
    hint: "将指针移到词元上，可查看其最强的连线。",
    from: "关注", to: "受关注于", equal: "均匀",
    token: (i, side) => `第 ${i + 1} 个词元，${side === "from" ? "关注方" : "被关注方"}：${data.tokens[i]}`,
    encoder: (d) => `${d.encoder}，${d.num_layers} 层，每层 ${data.heads} 个头` +
      (data.layers.length < d.num_layers ? "；文本较长，本页仅含部分层" : ""),
    head: (h) => `第 ${h + 1} 头`, canvas: "词元之间的连线；每个词元的连线以文字列于下方。",
  },
};

const by = (id) => document.getElementById(id);
const say = () => words[document.documentElement.lang];
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function decode(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true) / 65535);
}

const weight = (head, i, j) => weights[((state.layer * data.heads + head) * n + i) * n + j];

function meanWeight(i, j) {
  let sum = 0;
  for (let head = 0; head < data.heads; head++) sum += weight(head, i, j);
  return sum / data.heads;
}

const colour = (head) => `hsl(${Math.round((360 * head) / data.heads)} 75% ${dark.matches ? 65 : 42}%)`;
const dark = matchMedia("(prefers-color-scheme: dark)");

function inView(i, j) {
  const direction = by("direction").value;
  if (!by("special").checked && (data.special[i] || data.special[j])) return false;
  return direction === "all" || direction === `${data.segments[i]}${data.segments[j]}`;
}

function links() { // every link of the chosen layer, heads and direction: {i, j, w, paint}
  const found = [];
  const heads = [...state.heads].sort((a, b) => a - b);
  const mean = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (!inView(i, j)) continue;
      if (state.mean) found.push({ i, j, w: meanWeight(i, j), paint: mean });
      else for (const head of heads) found.push({ i, j, w: weight(head, i, j), head, paint: colour(head) });
    }
  }
  return found;
}

let current = [];
let full = FULL; // weight drawn as a full line

function refresh() { // after a change of layer, heads, direction, language or theme
  current = links().sort((a, b) => a.w - b.w);
  const strongest = current.length ? current[current.length - 1].w : 0;
  full = Math.max(strongest, FULL);
  by("mean").setAttribute("aria-pressed", state.mean);
  by("every").setAttribute("aria-pressed", !state.mean && state.heads.size === data.heads);
  for (const button of by("heads").children) {
    const head = Number(button.dataset.head);
    button.setAttribute("aria-pressed", !state.mean && state.heads.has(head));
    button.style.borderBottomColor = colour(head);
  }
  const text = say();
  const kind = state.mean ? text.mean : state.heads.size ? text.heads : text.none;
  by("legend").textContent = (current.length ? text.legend(strongest, full) : "") + kind;
  for (const row of by("shares").children) row.classList.toggle("chosen", row.dataset.layer === by("layer").value);
  show();
}

function show() { // draw the links of one token, or all links
  const chosen = state.pointed ?? state.focused;
  const visible = chosen ? current.filter((link) => (chosen.side === "from" ? link.i : link.j) === chosen.i) : current;
  draw(visible);
  mark(visible, chosen);
  const best = visible.slice(-5).reverse().filter((link) => link.w > 0).map((link) => {
    const other = data.tokens[chosen?.side === "from" ? link.j : link.i];
    return `${other} ${percent(link.w)}${link.head === undefined ? "" : ` (${say().head(link.head)})`}`;
  });
  by("detail").textContent = chosen
    ? `${data.tokens[chosen.i]} (${chosen.i + 1}) ${say()[chosen.side]}: ${best.join(", ") || "–"}`
    : say().hint;
}

function draw(visible) {
  const canvas = by("links");
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  pen.lineWidth = 1.5;
  const row = height / n;
  for (const { i, j, w, paint } of visible) {
    const opacity = w / full;
    if (opacity < FAINTEST) continue;
    pen.globalAlpha = opacity;
    pen.strokeStyle = paint;
    pen.beginPath();
    pen.moveTo(0, (i + 0.5) * row);
    pen.lineTo(width, (j + 0.5) * row);
    pen.stroke();
  }
}

function mark(visible, chosen) { // shade the tokens at the other end by their weight, and the chosen one
  const totals = { from: new Float32Array(n), to: new Float32Array(n) };
  if (chosen) {
    for (const { i, j, w } of visible) {
      const [side, other] = chosen.side === "from" ? ["to", j] : ["from", i];
      totals[side][other] = Math.max(totals[side][other], w / full);
    }
    totals[chosen.side][chosen.i] = 1;
  }
  for (const [side, list] of [["from", by("left")], ["to", by("right")]]) {
    [...list.children].forEach((item, i) => {
      const share = totals[side][i];
      item.firstChild.style.background = share >= FAINTEST ? `rgba(var(--mark), ${0.45 * share})` : "";
    });
  }
}

function tokenList(list, side) {
  data.tokens.forEach((token, i) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = token;
    button.classList.toggle("special", data.special[i] === 1);
    item.classList.toggle("boundary", i > 0 && data.segments[i] !== data.segments[i - 1]);
    const set = (name, value) => () => { state[name] = value; show(); };
    button.addEventListener("mouseenter", set("pointed", { side, i }));
    button.addEventListener("mouseleave", set("pointed", null));
    button.addEventListener("focus", set("focused", { side, i }));
    button.addEventListener("blur", set("focused", null));
    button.addEventListener("click", () => button.focus()); // Safari does not do this automatically
    item.append(button);
    list.append(item);
  });
}

function headButtons() {
  for (let head = 0; head < data.heads; head++) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head + 1;
    button.dataset.head = head;
    button.addEventListener("click", () => {
      if (state.mean) state.heads.clear();
      state.mean = false;
      if (!state.heads.delete(head)) state.heads.add(head);
      refresh();
    });
    by("heads").append(button);
  }
}

function shareRows() {
  for (const share of [...data.shares, { layer: null, ...data.equal }]) {
    const row = document.createElement("tr");
    row.className = share.layer === null ? "equal" : "";
    row.dataset.layer = share.layer ?? "";
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = share.layer ?? "";
    row.append(name);
    for (const key of ["next_token_share", "cross_share", "special_share"]) {
      row.insertCell().textContent = percent(share[key]);
    }
    by("shares").append(row);
  }
}

function setLanguage(language) {
  document.documentElement.lang = language;
  by("encoder").textContent = say().encoder(data);
  by("links").setAttribute("aria-label", say().canvas);
  by("shares").lastChild.firstChild.textContent = say().equal;
  for (const button of by("heads").children) {
    button.setAttribute("aria-label", say().head(Number(button.dataset.head)));
  }
  for (const [side, list] of [["from", by("left")], ["to", by("right")]]) {
    [...list.children].forEach((item, i) => item.firstChild.setAttribute("aria-label", say().token(i, side)));
  }
  refresh();
}

by("text-a").textContent = data.text_a;
by("text-b").textContent = data.text_b;
by("random").hidden = !data.random_weights;
for (const layer of data.layers) by("layer").add(new Option(layer, layer, false, layer === data.start));
tokenList(by("left"), "from");
tokenList(by("right"), "to");
headButtons();
shareRows();
by("layer").addEventListener("change", () => { state.layer = by("layer").selectedIndex; refresh(); });
by("direction").addEventListener("change", refresh);
by("special").addEventListener("change", refresh);
by("mean").addEventListener("click", () => { state.mean = true; refresh(); });
by("every").addEventListener("click", () => {
  state.mean = false;
  state.heads = new Set(Array(data.heads).keys());
  refresh();
});
by("language").addEventListener("click", () => {
  setLanguage(document.documentElement.lang === "en" ? "zh-CN" : "en");
});
dark.addEventListener("change", refresh);
new ResizeObserver(show).observe(by("view"));
setLanguage(navigator.language.startsWith("zh") ? "zh-CN" : "en");
