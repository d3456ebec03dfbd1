// Inertia 3: its client with a view of its own, and its protocol spoken by the site.

import { inPage, replaced, step, toNext } from './step.mjs';

// What the client takes from es-toolkit, which has hundreds of modules, in one.
const toolkit = `import '/_/modules/es-toolkit/dist/browser.global.js';
export const { cloneDeep, debounce, get, has, isEqual, merge, set, toPath, omit } = globalThis._;`;
const shared = { 'toolkit.js': { type: 'text/javascript', text: toolkit } };
const imports = JSON.stringify({
  imports: {
    '@inertiajs/core': '/_/modules/@inertiajs/core/dist/index.js',
    'es-toolkit': './toolkit.js',
    'es-toolkit/compat': './toolkit.js',
    'laravel-precognition': '/_/modules/laravel-precognition/dist/index.js',
  },
});
const client = `
import { router } from '@inertiajs/core';
const view = document.querySelector('#view');
window.router = router;
router.init({
  initialPage: JSON.parse(document.querySelector('#page').textContent),
  resolveComponent: (name) => name,
  swapComponent: async ({ page }) => {
    const { at, html } = page.props;
    const here = document.querySelector('#here');
    if (at) { here.dataset.at = at; here.textContent = at; }
    if (html) view.innerHTML = html;
    document.body.dataset.news = page.props.news ?? '';
  },
});
addEventListener('click', (e) => {
  const link = e.target.closest('[data-visit]');
  if (!link) return;
  e.preventDefault();
  router.visit(link.href ?? link.dataset.href, JSON.parse(link.dataset.visit || '{}'));
});`;

// A page by the protocol: a document at first, then JSON.
const page = (html, { version = '1', props = {} } = {}) => ({ pathname, headers, page: document, request }) => {
  const image = `<img src="/_/dot${pathname.replaceAll('/', '-')}.png" alt="">`;
  const object = { component: 'Page', props: { at: pathname, html: html + image, errors: {}, ...props }, url: request.url, version };
  if (headers['x-inertia']) {
    if (headers['x-inertia-version'] !== version && request.method === 'GET') {
      return { status: 409, type: null, headers: { 'x-inertia-location': request.url }, text: '' };
    }
    const only = headers['x-inertia-partial-data']?.split(',');
    if (only) object.props = Object.fromEntries(Object.entries({ ...object.props, news: 'fresh' }).filter(([k]) => only.includes(k)));
    return { type: 'application/json', headers: { 'x-inertia': 'true', vary: 'X-Inertia' }, text: JSON.stringify(object) };
  }
  const json = JSON.stringify(object).replaceAll('<', '\\u003c');
  return {
    headers: { vary: 'X-Inertia' },
    head: `<script type="importmap">${imports}</script>`,
    body: `<div id="view">${html}</div><script type="application/json" id="page">${json}</script>
<script type="module">${client}</script>`,
  };
};
const visit = (to, options = {}) => `<a id="go" href="${to}" data-visit='${JSON.stringify(options)}'>${to}</a> `;
const ready = (tab) => tab.until('!!window.router');

const goes = (id, pages, then, more = {}) =>
  step(`inertia-${id}`, inPage(toNext(then), ready), { pages: { b: page(visit('c')), c: page(''), ...shared, ...pages }, ...more });
const stays = (id, pages, doing, more = {}) =>
  step(`inertia-${id}`, inPage(doing, ready), { pages: { ...shared, ...pages }, ...more });
const fresh = (tab) => tab.until(`document.body.dataset.news === 'fresh'`);

export const steps = [
  goes('link', { a: page(visit('b')) }, async (tab, visit) => {
    await tab.follow('#go', 'c');
    await visit.counted('c');
  }),
  goes('form-that-redirects', {
    a: page(visit('save', { method: 'post', data: { x: 1 } })),
    save: { status: 303, headers: { location: 'b' } },
  }),
  goes('redirect', { a: page(visit('old')), old: { status: 302, headers: { location: 'b' } } }),
  goes('another-version', { a: page(visit('b')), b: page('', { version: '2' }) }),
  goes(
    'back',
    { a: page(visit('b')) },
    async (tab, visit) => {
      await tab.back('a');
      await visit.counted('a', 2);
    },
    { beyond: { 'returns within a page': { missed: ['a'] } } },
  ),
  stays('partial-reload', { a: page('') }, async (tab) => {
    await tab.eval(`router.reload({ only: ['news'] })`);
    await fresh(tab);
  }),
  stays('reload', { a: page('') }, async (tab, visit) => {
    await tab.eval(`router.reload()`);
    await visit.asked('a', 2);
  }),
  stays('another-query', { a: page(visit('a?page=2')) }, async (tab, visit) => {
    await tab.click('#go');
    await tab.until(`location.search === '?page=2'`);
    await visit.asked('a', 2);
  }),
  stays('polling', { a: page('') }, async (tab, visit) => {
    await tab.eval(`router.poll(100, { only: ['news'] })`);
    await fresh(tab);
    await visit.asked('a', 3);
  }),
  stays(
    'prefetch-and-shown',
    { a: page(visit('b')), b: page(visit('c')), c: page('') },
    async (tab, visit) => {
      await tab.eval(`router.prefetch(go.href, {}, { cacheFor: 30000 })`);
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
  ),
  stays(
    'prefetch-and-not-shown',
    { a: page(visit('b') + `<a id="other" href="c" data-visit="{}">c</a>`), b: page(''), c: page('') },
    async (tab, visit) => {
      await tab.eval(`router.prefetch(go.href, {}, { cacheFor: 30000 })`);
      await visit.asked('b');
      await tab.follow('#other', 'c');
      await visit.counted('c');
    },
  ),
  goes('there-and-back-again', { a: page(visit('b')), b: page(visit('a')) }, async (tab, v) => {
    await tab.follow('#go', 'a');
    await v.counted('a', 2);
    await tab.follow('#go', 'b');
    await v.counted('b', 2);
  }),
  goes('form-by-put', {
    a: page(visit('save', { method: 'put', data: { x: 1 } })),
    save: { status: 303, headers: { location: 'b' } },
  }),
  stays(
    'form-with-mistakes',
    { a: ({ count, ...ask }) => page(visit('save', { method: 'post', data: { x: 1 } }), count > 1 ? { props: { news: 'fresh' } } : {})(ask), save: { status: 303, headers: { location: 'a' } } },
    async (tab, v) => {
      await tab.click('#go');
      await fresh(tab);
    },
  ),
  stays('link-that-replaces', { a: page(visit('b', { replace: true })), b: page('') }, (tab) => tab.follow('#go', 'b'), { beyond: replaced('b') }),
  stays('link-that-leaves-the-address', { a: page(visit('b', { preserveUrl: true })), b: page('<p id="there">', { props: { at: null } }) }, async (tab) => {
    await tab.click('#go');
    await tab.until(`!!document.querySelector('#there')`);
  }, { beyond: replaced('b') }),
  stays('pushed-without-a-request', { a: page('') }, async (tab, v) => {
    await tab.eval(`router.push({ url: 'b', component: 'Page', props: (props) => ({ ...props, at: null }) })`);
    await v.counted('b');
  }, { beyond: { 'pages shown by script without a request': { missed: ['b'] } } }),
  goes('another-place-after-a-form', {
    a: page(visit('save', { method: 'post', data: { x: 1 } })),
    save: ({ pathname }) => ({ status: 409, type: null, headers: { 'x-inertia-location': pathname.replace(/save$/, 'b') }, text: '' }),
  }),
];
