"use strict";
(() => {
  const main = document.querySelector("main");
  const events = document.body.dataset.events;
  let busy = false;
  let again = false;
  let paused = false;
  let timer = 0;

  const show = (state) => {
    const sign = document.getElementById("live");
    if (sign && sign.dataset.state !== state) {
      sign.dataset.state = state;
      sign.textContent = state;
    }
  };

  // Times are the reader's, and the page says in which zone they are.
  const zone = () => {
    const offset = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts(new Date());
    const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const short = offset.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
    return name === "UTC" || name === short ? "UTC" : `${name} (${short})`;
  };
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[data-clock]")) {
      const at = new Date(time.dateTime);
      const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
      if (time.dataset.clock === "second") clock.second = "2-digit";
      time.textContent = new Intl.DateTimeFormat("en-GB", clock).format(at);
      time.title = at.toLocaleString();
    }
    for (const place of root.querySelectorAll("[data-zone]")) place.textContent = zone();
  };

  // Changes `old` where `fresh` differs. Nodes that stay keep focus, selection and scrolling.
  const morph = (old, fresh) => {
    if (old.dataset && old.dataset.keep && old.dataset.keep === fresh.dataset.keep) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      // The class is the one of a row that has just arrived.
      if (!fresh.hasAttribute(name) && name !== "class") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    if (old.id !== "live") morphChildren(old, fresh);
  };
  const keyOf = (node) => node.dataset && (node.dataset.key || node.dataset.keep);
  // Line breaks of the source between elements show nothing.
  const isBreak = (node) => node.nodeType === Node.TEXT_NODE && /^\s*\n\s*$/.test(node.nodeValue);
  const morphChildren = (old, fresh) => {
    const keyed = new Map();
    const wanted = new Set();
    for (const child of [...old.childNodes]) {
      if (isBreak(child)) child.remove();
      else if (keyOf(child)) keyed.set(keyOf(child), child);
    }
    let next = old.firstChild;
    for (const child of [...fresh.childNodes].filter((child) => !isBreak(child))) {
      const key = keyOf(child);
      // What has a key and is not wanted any more is passed over; it goes at the end.
      while (!key && next && keyOf(next)) next = next.nextSibling;
      let match = key ? keyed.get(key) : next;
      if (match && match.nodeName !== child.nodeName) match = undefined;
      if (key) keyed.delete(key);
      if (match === next) next = match && match.nextSibling;
      else if (match) old.insertBefore(match, next);
      if (match) {
        morph(match, child);
      } else {
        if (child.dataset && child.dataset.key) child.classList.add("new");
        old.insertBefore(child, next);
      }
      wanted.add(match || child);
    }
    for (const child of [...old.childNodes]) if (!wanted.has(child)) child.remove();
  };

  // Don't refresh while text is selected, so that it can be copied.
  const reading = () => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  };

  // Only <main> is taken: the nonce of the new page's style is not this page's.
  const mainOf = async (address) => {
    const answer = await fetch(address, { cache: "no-store" });
    if (!answer.ok) throw new Error("no page");
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text.slice(text.indexOf("<main")), "text/html");
    return page.querySelector("main");
  };

  const refresh = async (asked) => {
    timer = 0;
    if (!asked && (paused || document.hidden || reading())) return;
    if (busy) {
      again = again || asked;
      return;
    }
    busy = true;
    try {
      const fresh = await mainOf(location.href);
      // The reader may have asked for a pause meanwhile.
      if (asked || !paused) {
        localize(fresh);
        morph(main, fresh);
        document.title = main.dataset.title;
        document.querySelector("link[rel=icon]").href = main.dataset.icon;
      }
      show(paused ? "paused" : "live");
    } catch {
      show("not connected");
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      refresh(true);
    }
  };

  // Events come in bursts: one refresh covers a third of a second.
  const soon = () => {
    if (!timer) timer = setTimeout(() => refresh(false), 300);
  };

  // The filter is part of the address, so that it can be kept and passed on.
  const filter = main.querySelector("[data-filter]");
  if (filter) {
    const apply = () => {
      const query = new URLSearchParams(new FormData(filter));
      if (!query.get("host")) query.delete("host");
      history.replaceState(null, "", `?${query}`);
      refresh(true);
    };
    let typing = 0;
    filter.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(apply, 200);
    });
    filter.addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
    filter.querySelector("[data-submit]").hidden = true;
    const pause = filter.querySelector("[data-pause]");
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", paused);
      pause.textContent = paused ? "Go on" : "Pause";
      show(paused ? "paused" : "live");
      if (!paused) refresh(true);
    });
  }

  const box = main.querySelector("[data-explain]");
  if (box) {
    box.addEventListener("submit", async (event) => {
      event.preventDefault();
      const place = document.getElementById("explained");
      const query = new URLSearchParams(new FormData(box));
      try {
        const told = (await mainOf(`${box.getAttribute("action")}?${query}`)).querySelector("#explained");
        place.replaceChildren(...told.childNodes);
      } catch {
        place.textContent = "gatecount did not answer: is it still running, and is the request shorter than 60,000 characters?";
      }
    });
  }

  main.addEventListener("animationend", (event) => event.target.classList.remove("new"));
  localize(main);
  if (!events) return;
  const news = new EventSource(events);
  news.onmessage = soon;
  news.onopen = soon;
  news.onerror = () => show("not connected");
  document.addEventListener("visibilitychange", soon);
  setInterval(soon, 2000);
  show("live");
})();
