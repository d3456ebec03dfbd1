// What scripts ask for, and pages that are shown by script alone.

import { link, step } from './step.mjs';

const asks = (id, code, pages = { data: { type: 'application/json', text: '{}' } }, more = {}) =>
  step(
    `asks-${id}`,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.eval(`(async () => { ${code}; return true })()`);
      for (const path of Object.keys(pages)) await visit.asked(path);
    },
    { pages, ...more },
  );

const fragment = { fragment: { text: '<p>A part of a page.</p>' } };
const whole = { whole: {} };

export const steps = [
  asks('by-fetch', `await fetch('data')`),
  asks('by-fetch-post', `await fetch('data', { method: 'POST', body: 'x' })`),
  asks('by-fetch-head', `await fetch('whole', { method: 'HEAD' })`, whole),
  asks('for-a-fragment', `document.body.append(await (await fetch('fragment')).text())`, fragment),
  asks(
    'for-a-fragment-as-html',
    `document.body.append(await (await fetch('fragment', { headers: { accept: 'text/html' } })).text())`,
    fragment,
  ),
  asks(
    'by-xhr',
    `const x = new XMLHttpRequest(); x.open('GET', 'fragment'); x.setRequestHeader('X-Requested-With', 'XMLHttpRequest');
     x.send(); await new Promise((r) => (x.onloadend = r))`,
    fragment,
  ),
  asks('by-beacon', `navigator.sendBeacon('data', 'x')`),
  asks(
    'by-event-source',
    `const s = new EventSource('stream'); await new Promise((r) => (s.onmessage = r)); s.close()`,
    { stream: { type: 'text/event-stream', text: 'data: x\n\n' } },
  ),
  asks('by-worker', `await new Promise((r) => (new Worker('worker.js').onmessage = r))`, {
    'worker.js': { type: 'text/javascript', text: 'postMessage(1)' },
  }),
  // A card that shows what a link leads to, and a list that goes on below: pages that nobody went to.
  asks(
    'for-a-preview-of-a-page',
    `const text = await (await fetch('whole')).text();
     const card = document.createElement('div'); card.innerHTML = text; document.body.append(card)`,
    whole,
  ),
  asks(
    'for-more-of-a-list',
    `const text = await (await fetch('page-2', { headers: { accept: 'text/html' } })).text();
     document.body.append(new DOMParser().parseFromString(text, 'text/html').body);
     history.replaceState({}, '', 'page-2')`,
    { 'page-2': {} },
  ),
  step(
    'pushed-without-a-request',
    async (tab, visit) => {
      await tab.open('a');
      await tab.eval(`history.pushState({}, '', 'b')`);
      await visit.counted('b');
      await tab.eval(`history.replaceState({}, '', 'c')`);
      await tab.eval(`history.pushState({}, '', 'c?tab=2')`);
      await tab.eval(`history.pushState({}, '', 'd#x')`);
      await visit.counted('d');
    },
    // The tracker counts a change of the query after a replaced path: the path is new to it.
    { beyond: { 'pages shown by script without a request': { missed: ['b', 'c', 'd'] } } },
  ),
  step(
    'pushed-with-json',
    async (tab, visit) => {
      await tab.open('a');
      await tab.eval(`(async () => { await (await fetch('api/b')).json(); history.pushState({}, '', 'b') })()`);
      await visit.counted('b');
    },
    {
      pages: { 'api/b': { type: 'application/json', text: '{}' } },
      beyond: { 'pages shown by script without a request': { missed: ['b'] } },
    },
  ),
  step(
    'hash-routes',
    async (tab, visit) => {
      await tab.open('a');
      await tab.eval(`location.hash = '/one'`);
      await tab.eval(`location.hash = '/two'`);
      await visit.counted('a');
    },
  ),
];
