// All texts of the page, Chinese first.

const WORDS = {
  zh: {
    title: "专利分类", skip: "跳至输入框", theme: "深色", label: "摘要或名称", classify: "分类", example: "示例", clear: "清空",
    upload: "上传文件", certainty: "选项", careful: (levels) => `置信度不足时退回${levels.length > 2 ? "上一级" : WORDS.zh.levels[levels[0]]}，或拒答`, target: "目标准确率", why: "标注分类依据",
    hint: "粘贴文本，或将文件（CSV、TXT、JSONL）拖放到此处；按 Ctrl + Enter 分类。", empty: "粘贴一篇摘要，分类结果将显示在此处。", busy: "正在分类……",
    levels: { section: "部", class: "大类", subclass: "小类", main_group: "大组", subgroup: "小组" },
    path: "最可能的分类路径", others: "选择同级的其他分类号", ends: (level) => `仅分到${named(level)}`, loading: "正在加载……", more: (n) => `其余 ${n} 项`, again: "重试",
    click: (levels) => `点击某个${list(levels)}，可仅在其范围内分类。`, reasons: "分类依据", explaining: "正在分析分类依据……", similar: "训练集中的相似专利", release: "取消限定",
    batch: "批量分类结果", stop: "停止", download: "下载 CSV", close: "关闭", text: "文本", answer: "分类结果", probability: "概率", review: "优先复核", risk: "出错概率", unreviewed: (n) => `服务繁忙，${n} 篇文献未能估计出错概率，按分类概率排序。`,
    whys: { close: (a, b) => `${a} 与 ${b} 的概率接近`, unsure: () => "各分类号的概率均较低", path: () => "不在最可能的分类路径上", members: () => "各成员模型的结果不一致",
      characters: () => "含有训练集中少见的字符", unlike: () => "训练集中没有相似专利", neighbours: () => "相似专利属于其他分类号" },
    blocked: (n) => `${n} 个分类位置已停用，不会出现在分类结果中`, isBlocked: "已停用",
    demo: "演示模型：使用生成的演示数据训练，结果没有实际意义，不可与论文结果比较。", footer: "分类结果仅供参考，不代表正式分类。文本仅发送至本机服务，不会被记录。",
    only: (level) => `仅到${level}`, undecided: "拒答", given: (level, levels) => `${named(level)}由您指定${next(level, levels, (below) => `，${below}置信度不足`)}`, forcedTo: (name) => `仅在 ${name} 范围内分类。`,
    characters: (n, limit) => `${n} / ${limit} 字`, model: (a) => `模型 ${a.name} · 版本 ${a.version}`,
    legend: (label, method) => `蓝色表示支持 ${label}，橙色表示不支持；颜色越深，影响越大。方法：${method}`, unsure: "置信度不足",
    reached: (p, level, isDeepest) => `${p} ${isDeepest ? "分到" : "仅分到"}${level}`,
    meaning: (n, parts, none) => `在 ${n} 篇测试文献中：${parts.join("，")}，${none} 拒答。`,
    right: (p) => `（其中 ${p} 正确）`, noTargets: "该模型没有校准数据，不能设定目标准确率。",
    strange: { traditional: "文本含有大量训练集中极少出现的繁体字，概率可能偏高；请先转换为简体。", latin: "文本以拉丁字母为主，而模型用中文训练，概率可能偏高。", unseen: "文本中许多字符在训练集中极少出现，概率可能偏高。" },
    confidence: (p, level) => `${level}，${level === WORDS.zh.undecided ? "最高概率" : "概率"} ${p}`, version: (v) => `模型版本 ${v}`, rows: (a, b) => `${a} / ${b} 篇`,
    columns: (found, isSeveral) => `按表头识别的列：${found.map((one) => `${isSeveral ? `文本（${one.field}）` : "文本"} = ${one.name}${one.others.length ? `（未采用：${one.others.join("、")}）` : ""}`).join("，")}`,
    tally: (counts, u, e) => `${counts.map(([name, n]) => `${name} ${n} 篇，`).join("")}拒答 ${u} 篇，出错 ${e} 篇`, shown: (n) => `表格仅显示前 ${n} 行，完整结果见下载文件。`,
    judging: "人工判定", isRight: "分类结果是否正确？", judgedRight: "正确", correctTo: "修正为…", belongs: "应归入哪个分类号？", choose: "选择…", thanks: "谢谢！",
    kept: "判定将连同文本保存到本单位的文件中。", saving: "正在保存……", savedRight: (label) => `${label} 正确，已保存`, unsent: (n) => `${n} 条判定未保存。`, saved: (from, to) => `${from} → ${to}，已保存`,
    chooser: "选择正确的分类号", trail: "上级分类", whole: "全部", filter: "按分类号或类名筛选", here: (label) => `选定 ${label}`, nothingBelow: "没有下级分类。", found: (n, all) => `${n} / ${all} 项`,
    keys: "↑ ↓ 移动，Enter 进入下级，Backspace 返回上级，Ctrl + Enter 选定，Esc 关闭。",
    footerStored: "分类结果仅供参考，不代表正式分类。文本仅发送至本机服务，不记入日志；提交判定时，文本会连同判定保存到本单位的文件中。",
    errors: { empty: "请先输入文本。", unsaved: "判定未能保存。", not_stored: "判定未能写入文件，没有保存，请稍后重试。", full: "保存判定的文件已满，判定没有保存，请联系管理员。", labels: "无法读取分类表。", long: "文本过长。", offline: "无法连接服务，请确认服务正在运行。", busy: "服务繁忙，请稍后重试。", noTexts: "文件中没有可读取的文本。", notText: "该文件不是文本文件。Excel 表格请先另存为 CSV，或使用命令行工具 patent-hier predict。",
      noColumn: (needed, names) => `文件必须包含以下各列：${needed.join("、")}。文件中的列：${names.join("、")}。`, twoColumns: (name) => `文件中有多列名为 ${name}，请只保留一列，其余改名。`, fileLarge: "文件过大（上限为 20 MB），请使用命令行工具 patent-hier predict。", bad: "无法对该文本分类。", bad_text: "文本中没有可读取的内容。", blocked_label: "该分类位置已停用，不能选用。" },
  },
  en: {
    title: "Patent classification", skip: "Skip to the text", theme: "Dark", label: "Abstract or title", classify: "Classify", example: "Example", clear: "Clear",
    upload: "Upload a file", certainty: "Options", careful: (levels) => `When unsure, back off to ${levels.length > 2 ? "a higher level" : `the ${WORDS.en.levels[levels[0]].toLowerCase()}`}, or give no answer`, target: "Target accuracy", why: "Highlight the reasons",
    hint: "Paste a text or drop a file here (CSV, TXT, JSONL). Press Ctrl + Enter to classify.", empty: "Paste an abstract to see its classification here.", busy: "Classifying…",
    levels: { section: "Section", class: "Class", subclass: "Subclass", main_group: "Main group", subgroup: "Subgroup" },
    path: "Most likely path", others: "choose another label at this level", ends: (level) => `ends at the ${named(level).toLowerCase()}`, loading: "Loading…", more: (n) => `${n} more`, again: "Try again",
    click: (levels) => `Click a ${list(levels).toLowerCase()} to classify within it.`, reasons: "Reasons", explaining: "Finding the reasons…", similar: "Similar patents in the training data", release: "Remove limit",
    batch: "Batch results", stop: "Stop", download: "Download CSV", close: "Close", text: "Text", answer: "Result", probability: "Probability", review: "Review first", risk: "Risk of error", unreviewed: (n) => `The service was too busy to estimate the risk of error of ${n === 1 ? "1 document, which is" : `${n} documents, which are`} sorted by probability.`,
    whys: { close: (a, b) => `${a} and ${b} have similar probabilities`, unsure: () => "no label is likely", path: () => "not on the most likely path", members: () => "the ensemble members disagree",
      characters: () => "characters rarely seen in training", unlike: () => "no similar patents in the training data", neighbours: () => "similar patents have other labels" },
    blocked: (n) => `${n === 1 ? "1 place is" : `${n} places are`} blocked and never given as an answer`, isBlocked: "blocked",
    demo: "Demo model, trained on generated demo data: its answers have no practical meaning and are not comparable with the paper.", footer: "Results support a human decision and are not an official classification. Texts are sent only to the service on this machine and are not logged.",
    only: (level) => `${level} only`, undecided: "No answer", given: (level, levels) => `You chose the ${named(level).toLowerCase()}${next(level, levels, (below) => `; the ${below.toLowerCase()} is uncertain`)}`, forcedTo: (name) => `Limited to ${name}.`,
    characters: (n, limit) => `${n} / ${limit} characters`, model: (a) => `Model ${a.name} · version ${a.version}`,
    legend: (label, method) => `Blue supports ${label}, orange contradicts it; the stronger the colour, the larger the effect. Method: ${method}`, unsure: "Not confident enough",
    reached: (p, level, isDeepest) => `${p} with a ${level.toLowerCase()}${isDeepest ? "" : " only"}`,
    meaning: (n, parts, none) => `Of ${n} test documents: ${parts.join(", ")}, ${none} without an answer.`,
    right: (p) => ` (${p} of these are right)`, noTargets: "This model has no calibration, so you cannot set a target accuracy.",
    strange: { traditional: "This text has many Traditional Chinese characters, which are rare in the training data; probabilities may be too high. Convert it to Simplified Chinese first.", latin: "Most of this text is in Latin letters, but the model was trained on Chinese; probabilities may be too high.", unseen: "Many characters of this text are rare in the training data; probabilities may be too high." },
    confidence: (p, level) => `${level}, ${level === WORDS.en.undecided ? "highest probability" : "probability"} ${p}`, version: (v) => `Model version ${v}`, rows: (a, b) => `${a} / ${b} documents`,
    columns: (found, isSeveral) => `columns found by their headers: ${found.map((one) => `${isSeveral ? `text ${one.field}` : "text"} = ${one.name}${one.others.length ? ` (not ${one.others.join(", ")})` : ""}`).join(", ")}`,
    tally: (counts, u, e) => `${counts.map(([name, n]) => `${n} with ${name.toLowerCase()}, `).join("")}${u} without an answer, ${e} with an error`, shown: (n) => `The table shows the first ${n} rows; the download contains all of them.`,
    judging: "Your judgement", isRight: "Is this right?", judgedRight: "Right", correctTo: "Change to…", belongs: "Where does it belong?", choose: "Choose…", thanks: "Thank you!",
    kept: "Your judgement and the text are stored in your office's file.", saving: "Saving…", savedRight: (label) => `${label} is right, saved`, unsent: (n) => (n === 1 ? "1 judgement was not saved." : `${n} judgements were not saved.`), saved: (from, to) => `${from} → ${to}, saved`,
    chooser: "Choose the right label", trail: "Higher levels", whole: "All", filter: "Filter by code or title", here: (label) => `Choose ${label}`, nothingBelow: "There are no lower levels.", found: (n, all) => `${n} of ${all}`,
    keys: "↑ ↓ to move, Enter to go down a level, Backspace to go up, Ctrl + Enter to choose, Esc to close.",
    footerStored: "Results support a human decision and are not an official classification. Texts are sent only to the service on this machine and are not logged. When you judge an answer, the text is stored with your judgement in your office's file.",
    errors: { empty: "Enter a text first.", unsaved: "The judgement was not saved.", not_stored: "The judgement could not be written and was not saved; try again in a moment.", full: "The judgement file is full, so the judgement was not saved; contact the administrator.", labels: "The labels cannot be loaded.", long: "The text is too long.", offline: "The service cannot be reached; check that it is still running.", busy: "The service is busy; try again in a moment.", noTexts: "The file contains no readable text.", notText: "This is not a text file. Save an Excel table as CSV, or use the command patent-hier predict.",
      noColumn: (needed, names) => `The file must have these columns: ${needed.join(", ")}. Its columns are ${names.join(", ")}.`, twoColumns: (name) => `The file has more than one column ${name}; rename all but one.`, fileLarge: "The file is too large (20 MB at most); use the command patent-hier predict.", bad: "This text cannot be classified.", bad_text: "The text has no readable content.", blocked_label: "This place of the scheme is blocked and cannot be chosen." },
  },
};

export const EXAMPLES = [
  "本发明公开了一种激光测距装置，包括壳体、激光发射模块、光电探测器和信号处理电路，激光发射模块发出的脉冲经目标反射后由光电探测器接收，信号处理电路根据飞行时间计算距离，具有测量精度高、抗干扰能力强的优点。",
  "本发明提供一种治疗糖尿病的中药组合物及其制备方法，由黄芪、葛根、丹参和麦冬按重量份配制而成，水提后浓缩干燥制成颗粒剂，疗效显著，无明显毒副作用。",
  "本实用新型涉及一种电池热管理系统，包括电池模组、液冷板和控制器，控制器根据温度传感器的信号调节冷却液的流量，使各电芯温度均匀，延长电池寿命。",
];

let language = "zh";

/** The texts in the chosen language. */
export const say = () => WORDS[language];
/** The chosen language: zh or en. */
export const chosen = () => language;

const named = (level) => say().levels[level] ?? level;
const list = (levels) => new Intl.ListFormat(language, { type: "disjunction" }).format(levels.map(named));
const next = (level, levels, words) => (level === levels.at(-1) ? "" : words(named(levels[levels.indexOf(level) + 1])));

/** The name of a decision's level: the deepest by its name, a higher one marked as "only", or no answer. */
export const decided = (level, levels) => (level === "undecided" ? say().undecided : level === levels.at(-1) ? named(level) : say().only(named(level)));

/** Write the texts of a language into the page, for a model with the given levels. */
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
  [/^integrated gradients of the TF-IDF/, "字符 n 元组 TF-IDF 的积分梯度（精确）"],
  [/^occlusion/, "逐段遮挡"],
];

/** The method of an explanation, in the chosen language. */
export const methodName = (method) => (language === "zh" ? METHODS.find(([pattern]) => pattern.test(method))?.[1] : null) ?? method;

/** Format a share as a percentage. */
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
