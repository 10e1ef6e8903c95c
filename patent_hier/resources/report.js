"use strict";
(() => {
  const root = document.documentElement;
  const articles = [...document.querySelectorAll("article")];
  const buttons = [...document.querySelectorAll("[data-choose]")];
  const languages = articles.map((article) => article.dataset.language);

  /* Return the heading at the top of the window, so that switching languages keeps the reader's place. */
  const current = (article) =>
    [...article.querySelectorAll("h2, h3, h4")].filter((h) => h.offsetParent && h.getBoundingClientRect().top < 120).pop();

  const choose = (language, stay) => {
    const before = articles.find((article) => article.dataset.language === root.dataset.language);
    const heading = stay && before ? current(before) : null;
    const chosen = articles.find((article) => article.dataset.language === language);
    root.dataset.language = language;
    root.lang = chosen.lang;
    document.title = chosen.dataset.title;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.choose === language));
    if (heading) {
      const twin = document.getElementById(language + heading.id.slice(before.dataset.language.length));
      if (twin) twin.scrollIntoView();
    }
  };

  const named = () => languages.find((language) => (location.hash + "-").startsWith("#" + language + "-"));
  if (articles.length > 1) {
    const preferred = (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";
    choose(named() || (languages.includes(preferred) ? preferred : languages[0]), false);
    document.querySelector(".switch").hidden = false;
    for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.choose, true));
  }
  const follow = () => {
    const language = named();
    if (articles.length > 1 && language && language !== root.dataset.language) choose(language, false);
    const target = document.getElementById(location.hash.slice(1));
    const folded = target && target.closest("details");
    if (folded) folded.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  if (location.hash) follow();

  for (const listing of document.querySelectorAll(".listing")) {
    const words = listing.closest("article").dataset;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words.copy;
    button.addEventListener("click", async () => {
      const code = listing.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = words.copied;
        setTimeout(() => { button.textContent = words.copy; }, 1500);
      } catch {
        getSelection().selectAllChildren(code);  /* clipboard access denied: select the text so that the reader can copy it */
      }
    });
    listing.append(button);
  }

  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const mark = () => {
    const article = articles.find((a) => a.offsetParent !== null || a.getClientRects().length);
    const heading = [...article.querySelectorAll("h2, h3")]
      .filter((h) => links.has(h.id) && h.getBoundingClientRect().top < 120).pop();
    for (const [id, link] of links) {
      if (heading && id === heading.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", mark, { passive: true });
  mark();

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });
})();
