// Sites with a service worker.

import { both, link, notWebkit, secure, step } from './step.mjs';

const worker = (code) => ({ type: 'text/javascript', text: code });
const claim = `addEventListener('install', () => skipWaiting());
addEventListener('activate', (e) => e.waitUntil(clients.claim()));\n`;
const navigations = (code) =>
  claim + `addEventListener('fetch', (e) => { if (e.request.mode === 'navigate') e.respondWith((async () => { ${code} })()) });`;
const preload = (code) =>
  `addEventListener('install', () => skipWaiting());
addEventListener('activate', (e) => e.waitUntil(registration.navigationPreload.enable().then(() => clients.claim())));
addEventListener('fetch', (e) => { if (e.request.mode === 'navigate') e.respondWith((async () => { ${code} })()) });`;

// Goes to a page, which installs the worker, and from there to two more.
const visits = (id, code, { beyond, extra = {}, install = '', where = secure } = {}) =>
  step(
    `worker-${id}`,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.eval(`(async () => {
        await navigator.serviceWorker.register('worker.js');
        await navigator.serviceWorker.ready;
        if (!navigator.serviceWorker.controller)
          await new Promise((r) => navigator.serviceWorker.addEventListener('controllerchange', r));
        return true;
      })()`);
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    {
      where,
      pages: { a: { body: link('b') }, b: { body: link('c') }, 'worker.js': worker(install + code), ...extra },
      beyond,
    },
  );

// In WebKit the order of what a worker and its page ask for is a matter of moments: what a server cannot see may be seen
// there.
const elsewhere = both(secure, notWebkit);

export const steps = [
  visits('that-looks-on', claim + `addEventListener('fetch', () => {});`),
  visits('that-fetches', navigations(`return fetch(e.request)`)),
  visits('that-fetches-anew', navigations(`return fetch(e.request.url)`)),
  visits('network-first', navigations(`
    try { const r = await fetch(e.request); (await caches.open('x')).put(e.request, r.clone()); return r }
    catch { return caches.match(e.request) }`)),
  visits('with-preload', preload(`return (await e.preloadResponse) ?? fetch(e.request)`)),
  visits('that-ignores-its-preload', preload(`e.waitUntil(e.preloadResponse); return fetch(e.request)`)),
  visits('with-pages-it-has', navigations(`return (await caches.match(e.request.url)) ?? fetch(e.request)`), {
    install: `addEventListener('install', (e) => e.waitUntil(caches.open('x').then((x) => x.addAll(['b', 'c']))));\n`,
  }),
  visits('with-bare-pages-it-has', navigations(`return (await caches.match(e.request.url)) ?? fetch(e.request)`), {
    install: `addEventListener('install', (e) => e.waitUntil(caches.open('x').then((x) => x.addAll(['b', 'c']))));\n`,
    where: elsewhere,
    extra: { b: { bare: true, body: link('c') }, c: { bare: true } },
    beyond: { 'pages from a service worker': { missed: ['b', 'c'] } },
  }),
  visits(
    'that-answers-and-fetches-behind',
    navigations(`
      const cache = await caches.open('x'), there = await cache.match(e.request.url);
      const fresh = fetch(e.request).then((r) => (cache.put(e.request.url, r.clone()), r));
      e.waitUntil(fresh.catch(() => {}));
      return there ?? fresh`),
    {
      install: `addEventListener('install', (e) => e.waitUntil(caches.open('x').then((x) => x.addAll(['b', 'c']))));\n`,
    },
  ),
  visits('with-a-shell-and-data', navigations(`
    const at = new URL(e.request.url).pathname;
    const data = await (await fetch('data.json')).json();
    const shell = await (await caches.match('shell')).text();
    return new Response(shell.replaceAll('AT', at).replace('LINK', data.next), { headers: { 'content-type': 'text/html' } })`), {
    install: `addEventListener('install', (e) => e.waitUntil(caches.open('x').then((x) => x.add('shell'))));\n`,
    extra: {
      'data.json': { type: 'application/json', text: '{"next": "c"}' },
      shell: ({ page }) => ({ text: page({ body: '<a id="go" href="LINK">on</a>' }).replace(/data-at="[^"]*"/, 'data-at="AT"') }),
    },
    beyond: { 'pages from a service worker': { missed: ['b', 'c'] } },
  }),
];
