// All words of the page, Chinese first.

const WORDS = {
  zh: {
    title: "专利分类", skip: "跳到输入", theme: "深色", label: "摘要或名称", classify: "分类", example: "示例", clear: "清空",
    upload: "上传文件", certainty: "把握", careful: (levels) => `没有把握时退回到${levels.length > 2 ? "上级" : WORDS.zh.levels[levels[0]]}，或不作答`, target: "希望的准确率", why: "标出依据",
    hint: "粘贴文本，或把文件拖到这里（CSV、TXT、JSONL）；Ctrl + Enter 分类。", empty: "粘贴一篇摘要，结果显示在这里。", busy: "正在分类……",
    levels: { section: "部", class: "大类", subclass: "小类", main_group: "大组", subgroup: "小组" },
    path: "最可能的路径", others: "选择同级的其他项", ends: (level) => `止于${named(level)}`, loading: "正在加载……", more: (n) => `其余 ${n} 项`, again: "重试",
    click: (levels) => `点击一个${list(levels)}，只在其中分类。`, reasons: "依据", explaining: "正在寻找依据……", similar: "相近的已知专利", release: "取消",
    batch: "批量结果", stop: "停止", download: "下载 CSV", close: "关闭", text: "文本", answer: "结果", probability: "概率", review: "优先复核", risk: "出错概率", unreviewed: (n) => `服务繁忙，${n} 篇未能估计出错概率，按概率排序。`,
    whys: { close: (a, b) => `${a} 与 ${b} 难分高下`, unsure: () => "没有把握较大的类目", path: () => "与上级最可能的路径不一致", members: () => "各成员模型意见不一",
      characters: () => "用字在训练数据中少见", unlike: () => "与已知专利都不相近", neighbours: () => "相近的已知专利属于其他类目" },
    blocked: (n) => `${n} 个分类位置已停用，不会作为结果给出`, isBlocked: "已停用",
    demo: "演示模型：用生成的数据训练，结果没有实际意义。", footer: "结果供人参考，不是正式分类。文本只发送到本机的服务，不会被记录。",
    only: (level) => `只到${level}`, undecided: "不作答", given: (level, levels) => `${named(level)}由您指定${next(level, levels, (below) => `，${below}没有把握`)}`, forcedTo: (name) => `只在 ${name} 中分类。`,
    characters: (n, limit) => `${n} / ${limit} 字`, model: (a) => `模型 ${a.name} · 版本 ${a.version}`,
    legend: (label, method) => `蓝色支持 ${label}，橙色反对；颜色越深作用越大。方法：${method}`, unsure: "把握不足",
    reached: (p, level, isDeepest) => `${p} ${isDeepest ? "得到" : "只得到"}${level}`,
    meaning: (n, parts, none) => `在 ${n} 篇测试文档上：${parts.join("，")}，${none} 不作答。`,
    right: (p) => `（其中 ${p} 正确）`, noTargets: "这个模型没有校准数据，不能设定准确率。",
    strange: { traditional: "这段文本含有许多繁体字，训练数据中几乎没有；概率可能偏高。请先转换为简体。", latin: "这段文本多为拉丁字母，训练数据是中文；概率可能偏高。", unseen: "这段文本中的许多字在训练数据中几乎没有；概率可能偏高。" },
    confidence: (p, level) => `${level}，概率 ${p}`, version: (v) => `模型版本 ${v}`, rows: (a, b) => `${a} / ${b} 篇`,
    tally: (counts, u, e) => `${counts.map(([name, n]) => `${name} ${n} 篇，`).join("")}不作答 ${u} 篇，错误 ${e} 篇`, shown: (n) => `表中只显示前 ${n} 行，下载的文件里有全部。`,
    judging: "评判结果", isRight: "这个结果对吗？", judgedRight: "正确", correctTo: "改为…", belongs: "应该分到哪里？", choose: "选择…", thanks: "谢谢！",
    kept: "评判会连同文本保存在本单位的文件中。", saving: "正在保存……", savedRight: (label) => `${label} 正确，已保存`, unsent: (n) => `${n} 条评判未保存。`, saved: (from, to) => `${from} → ${to}，已保存`,
    chooser: "选择正确的分类", trail: "上级", whole: "全部", filter: "按代码或名称筛选", here: (label) => `选定此处：${label}`, nothingBelow: "没有下级。", found: (n, all) => `${n} / ${all} 项`,
    keys: "↑ ↓ 移动，Enter 进入下级，Backspace 返回上级，Ctrl + Enter 选定，Esc 关闭。",
    footerStored: "结果供人参考，不是正式分类。文本只发送到本机的服务，不记入日志；您评判结果时，文本会连同评判保存在本单位的文件中。",
    errors: { empty: "请先输入文本。", unsaved: "评判没有保存。", not_stored: "评判未能写入文件，没有保存，请稍后重试。", full: "保存评判的文件已满，评判没有保存，请联系管理员。", labels: "无法读取分类表。", long: "文本太长。", offline: "连不上服务，请确认它还在运行。", busy: "服务正忙，请稍后再试。", noTexts: "文件里没有可读的文本。",
      noColumn: (names) => `文件没有需要的列：${names}。`, fileLarge: "文件太大（最多 20 MB）；请用命令行 patent-hier predict。", bad: "无法分类这段文本。", bad_text: "文本没有可读的内容。", blocked_label: "这个分类位置已停用，不能选用。" },
  },
  en: {
    title: "Patent classification", skip: "Skip to the text", theme: "Dark", label: "Abstract or title", classify: "Classify", example: "Example", clear: "Clear",
    upload: "Upload a file", certainty: "Certainty", careful: (levels) => `When unsure, give ${levels.length > 2 ? "a level above" : `the ${WORDS.en.levels[levels[0]].toLowerCase()} only`}, or nothing`, target: "Wanted accuracy", why: "Mark the reasons",
    hint: "Paste a text, or drop a file here (CSV, TXT, JSONL); Ctrl + Enter classifies.", empty: "Paste an abstract; its classes appear here.", busy: "Classifying…",
    levels: { section: "Section", class: "Class", subclass: "Subclass", main_group: "Main group", subgroup: "Subgroup" },
    path: "Likeliest path", others: "choose another at this level", ends: (level) => `ends at the ${named(level).toLowerCase()}`, loading: "Loading…", more: (n) => `${n} more`, again: "Try again",
    click: (levels) => `Click a ${list(levels).toLowerCase()} to stay within it.`, reasons: "Reasons", explaining: "Looking for the reasons…", similar: "Similar known patents", release: "Undo",
    batch: "Results of a file", stop: "Stop", download: "Download CSV", close: "Close", text: "Text", answer: "Result", probability: "Probability", review: "Review first", risk: "Risk of error", unreviewed: (n) => `The service was too busy to estimate the risk of error of ${n}; ${n === 1 ? "it is" : "they are"} sorted by probability.`,
    whys: { close: (a, b) => `${a} and ${b} are close`, unsure: () => "no label is likely", path: () => "not on the most likely path from the level above", members: () => "the members disagree",
      characters: () => "characters hardly seen in training", unlike: () => "unlike known patents", neighbours: () => "similar patents have other labels" },
    blocked: (n) => `${n === 1 ? "1 place is" : `${n} places are`} blocked and never answered`, isBlocked: "blocked",
    demo: "A demo model, trained on generated data: its answers mean nothing.", footer: "Support for a person who decides, no official classification. Texts go to the service on this machine only, and are not logged.",
    only: (level) => `${level} only`, undecided: "No answer", given: (level, levels) => `The ${named(level).toLowerCase()} is yours${next(level, levels, (below) => `; the ${below.toLowerCase()} is not sure`)}`, forcedTo: (name) => `Within ${name} only.`,
    characters: (n, limit) => `${n} / ${limit} characters`, model: (a) => `Model ${a.name} · version ${a.version}`,
    legend: (label, method) => `Blue speaks for ${label}, orange against it; the deeper, the more. Method: ${method}`, unsure: "not sure enough",
    reached: (p, level, isDeepest) => (isDeepest ? `${p} get a ${level.toLowerCase()}` : `${p} a ${level.toLowerCase()} only`),
    meaning: (n, parts, none) => `Of ${n} test documents ${parts.join(", ")}, ${none} no answer.`,
    right: (p) => ` (${p} of these are right)`, noTargets: "This model has no calibration, so no accuracy can be asked for.",
    strange: { traditional: "Training has hardly shown the many Traditional characters of this text; probabilities may be too high. Convert it to Simplified Chinese first.", latin: "Most of this text is in Latin letters, but training was in Chinese; probabilities may be too high.", unseen: "Training has hardly shown many characters of this text; probabilities may be too high." },
    confidence: (p, level) => `${level}, probability ${p}`, version: (v) => `Model version ${v}`, rows: (a, b) => `${a} / ${b} documents`,
    tally: (counts, u, e) => `${counts.map(([name, n]) => `${n} with ${name.toLowerCase()}, `).join("")}${u} without answer, ${e} with errors`, shown: (n) => `The table shows the first ${n} rows; the download has all.`,
    judging: "Your judgement", isRight: "Is this right?", judgedRight: "Right", correctTo: "Correct to…", belongs: "Where does it belong?", choose: "Choose…", thanks: "Thank you!",
    kept: "A judgement is stored with its text in your office's file.", saving: "Saving…", savedRight: (label) => `${label} is right, saved`, unsent: (n) => (n === 1 ? "1 judgement was not saved." : `${n} judgements were not saved.`), saved: (from, to) => `${from} → ${to}, saved`,
    chooser: "Choose the right class", trail: "Above", whole: "All", filter: "Filter by code or title", here: (label) => `Choose ${label}`, nothingBelow: "Nothing is below it.", found: (n, all) => `${n} of ${all}`,
    keys: "↑ ↓ move, Enter goes deeper, Backspace goes up, Ctrl + Enter chooses, Esc closes.",
    footerStored: "Support for a person who decides, no official classification. Texts go to the service on this machine only, and are not logged; when you judge an answer, its text is stored with your judgement in your office's file.",
    errors: { empty: "Give a text first.", unsaved: "The judgement was not saved.", not_stored: "The judgement could not be written and was not saved; try again in a moment.", full: "The file of judgements is full, so the judgement was not saved; tell who runs the service.", labels: "The labels cannot be read.", long: "The text is too long.", offline: "The service cannot be reached; see whether it is still running.", busy: "The service is busy; try again in a moment.", noTexts: "The file has no text that can be read.",
      noColumn: (names) => `The file lacks the needed column: ${names}.`, fileLarge: "The file is too large (20 MB at most); use the command patent-hier predict.", bad: "This text cannot be classified.", bad_text: "The text has nothing that can be read.", blocked_label: "This place of the scheme is blocked." },
  },
};

export const EXAMPLES = [
  "本发明公开了一种激光测距装置，包括壳体、激光发射模块、光电探测器和信号处理电路，激光发射模块发出的脉冲经目标反射后由光电探测器接收，信号处理电路根据飞行时间计算距离，具有测量精度高、抗干扰能力强的优点。",
  "本发明提供一种治疗糖尿病的中药组合物及其制备方法，由黄芪、葛根、丹参和麦冬按重量份配制而成，水提后浓缩干燥制成颗粒剂，疗效显著，无明显毒副作用。",
  "本实用新型涉及一种电池热管理系统，包括电池模组、液冷板和控制器，控制器根据温度传感器的信号调节冷却液的流量，使各电芯温度均匀，延长电池寿命。",
];

let language = "zh";

/** The words of the chosen language. */
export const say = () => WORDS[language];
/** Which language is chosen: zh or en. */
export const chosen = () => language;

const named = (level) => say().levels[level] ?? level;
const list = (levels) => new Intl.ListFormat(language, { type: "disjunction" }).format(levels.map(named));
const next = (level, levels, words) => (level === levels.at(-1) ? "" : words(named(levels[levels.indexOf(level) + 1])));

/** What a decision's level is called: the deepest one by its name, one above as "only", or no answer. */
export const decided = (level, levels) => (level === "undecided" ? say().undecided : level === levels.at(-1) ? named(level) : say().only(named(level)));

/** Write the words of a language into the page, for a model of some levels. */
export function speak(wanted, levels) {
  language = wanted;
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
  document.title = say().title;
  for (const place of document.querySelectorAll("[data-say]")) {
    const words = say()[place.dataset.say];
    place.textContent = typeof words === "function" ? words(levels) : words;
  }
  for (const place of document.querySelectorAll("[data-say-label]")) place.setAttribute("aria-label", say()[place.dataset.sayLabel]);
}

const METHODS = [
  [/^integrated gradients of the token embeddings/, "词元嵌入的积分梯度"],
  [/^integrated gradients of the TF-IDF/, "字符片段的积分梯度（精确）"],
  [/^occlusion/, "逐段遮挡"],
];

/** How an explanation was found, in the chosen language. */
export const methodName = (method) => (language === "zh" ? METHODS.find(([pattern]) => pattern.test(method))?.[1] : null) ?? method;

/** A share as percent. */
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
