"use strict";
(() => {
  const main = document.querySelector("main");
  const keys = () => new Set([...main.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
  let state = "live";
  let busy = false;
  let timer = 0;

  const show = (now) => {
    state = now;
    const sign = document.getElementById("live");
    if (sign) {
      sign.dataset.state = state;
      sign.textContent = state;
    }
  };

  // A selection is left alone, so that what is shown can be copied.
  const reading = () => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  };

  const refresh = async () => {
    timer = 0;
    if (busy || document.hidden || reading()) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = answer.ok && page.querySelector("main");
      if (!fresh) throw new Error("no page");
      const known = keys();
      main.replaceChildren(...fresh.childNodes);
      for (const row of main.querySelectorAll("[data-key]")) {
        if (!known.has(row.dataset.key)) row.classList.add("new");
      }
      show("live");
    } catch {
      show("lost");
    } finally {
      busy = false;
    }
  };

  // News come in bursts: one refresh answers all of a third of a second.
  const soon = () => {
    if (!timer) timer = setTimeout(refresh, 300);
  };

  const news = new EventSource(document.body.dataset.events);
  news.onmessage = soon;
  news.onopen = soon;
  news.onerror = () => show("lost");
  document.addEventListener("visibilitychange", soon);
  setInterval(soon, 2000);
  show("live");
})();
