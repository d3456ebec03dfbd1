"use strict";
(() => {
  const main = document.querySelector("main");
  const GLOW = 1600;
  let seen = new Map();
  let busy = false;
  let timer = 0;

  const show = (state) => {
    const sign = document.getElementById("live");
    if (sign) {
      sign.dataset.state = state;
      sign.textContent = state;
    }
  };

  // New rows glow for a while, also across refreshes.
  const glow = (now, newSince = now) => {
    const rows = new Map();
    for (const row of main.querySelectorAll("[data-key]")) {
      const since = seen.get(row.dataset.key) ?? newSince;
      rows.set(row.dataset.key, since);
      if (now - since < GLOW) {
        row.classList.add("new");
        row.style.animationDelay = `${since - now}ms`;
      }
    }
    seen = rows;
  };

  // Don't refresh while text is selected, so that it can be copied.
  const reading = () => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  };

  const links = () => [...main.querySelectorAll("a")];

  const refresh = async () => {
    timer = 0;
    if (busy || document.hidden || reading()) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error("no page");
      // Only <main> is taken: the nonce of the new page's style is not this page's.
      const text = await answer.text();
      const page = new DOMParser().parseFromString(text.slice(text.indexOf("<main>")), "text/html");
      const fresh = page.querySelector("main");
      const focused = links().indexOf(document.activeElement);
      main.replaceChildren(...fresh.childNodes);
      links()[focused]?.focus({ preventScroll: true });
      glow(performance.now());
      show("live");
    } catch {
      show("lost");
    } finally {
      busy = false;
    }
  };

  // Events come in bursts: one refresh covers a third of a second.
  const soon = () => {
    if (!timer) timer = setTimeout(refresh, 300);
  };

  const news = new EventSource(document.body.dataset.events);
  news.onmessage = soon;
  news.onopen = soon;
  news.onerror = () => show("lost");
  document.addEventListener("visibilitychange", soon);
  setInterval(soon, 2000);
  // The rows of the first page are not new.
  glow(0, -GLOW);
  show("live");
})();
