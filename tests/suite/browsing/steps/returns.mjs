// Pages that are shown again.

import { chromium, link, notWebkit, step } from './step.mjs';

const to = (path) => ({ body: link(path) });
const revalidated = (extra = {}) => ({ headers, page }) =>
  headers['if-none-match'] === '"1"' || headers['if-modified-since']
    ? { status: 304, type: null, headers: { etag: '"1"', ...extra } }
    : {
        headers: { etag: '"1"', 'cache-control': 'no-cache', 'last-modified': 'Mon, 02 Nov 2026 10:00:00 GMT', ...extra },
        body: link('b'),
      };

// Pages that a browser does not keep alive when it leaves them.
const fleeting = { main: ' onunload="1"', head: `<script>addEventListener('unload', () => {}); new BroadcastChannel('x')</script>` };

export const steps = [
  step(
    'reload',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.reload();
      await visit.counted('a', 2);
    },
  ),
  step(
    'reload-past-the-cache',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.reload({ hard: true });
      await visit.counted('a', 2);
    },
    { where: chromium },
  ),
  step('reload-by-script', async (tab, visit) => {
    await tab.open('a');
    await visit.counted('a');
    await tab.eval(`location.reload()`);
    await visit.counted('a', 2);
  }),
  step(
    'reload-of-an-unchanged-page',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.reload();
      await visit.counted('a', 2);
    },
    { pages: { a: revalidated() } },
  ),
  step(
    'unchanged',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'a');
      await visit.counted('a', 2);
    },
    { pages: { a: revalidated(), b: to('a') } },
  ),
  step(
    'unchanged-with-a-dot',
    async (tab, visit) => {
      await tab.open('Vue.js');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'Vue.js');
      await visit.counted('Vue.js', 2);
    },
    { pages: { 'Vue.js': revalidated(), b: to('Vue.js') } },
  ),
  step(
    'unchanged-image',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go');
      await visit.asked('picture');
      await tab.until(`document.contentType === 'image/svg+xml'`);
      await tab.open('a');
      await tab.click('#go');
      await visit.asked('picture', 2);
      await visit.counted('a', 2);
    },
    {
      pages: {
        a: to('picture'),
        picture: ({ headers }) =>
          headers['if-none-match']
            ? { status: 304, type: null, headers: { etag: '"p"' } }
            : {
                type: 'image/svg+xml',
                headers: { etag: '"p"', 'cache-control': 'no-cache' },
                text: '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
              },
      },
    },
  ),
  step(
    'from-the-http-cache',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'a');
      await visit.counted('a', 2);
    },
    {
      where: notWebkit,
      pages: { a: { headers: { 'cache-control': 'max-age=600' }, ...to('b') }, b: to('a') },
      beyond: { 'pages from the HTTP cache': { missed: ['a'] } },
    },
  ),
  step(
    'back-and-forward',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.back('a');
      await visit.counted('a', 2);
      await tab.forward('b');
      await visit.counted('b', 2);
    },
    { pages: { a: to('b') }, beyond: { 'returns from the back/forward cache': { missed: ['a', 'b'] } } },
  ),
  step(
    'back-to-a-page-that-is-not-kept',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.back('a');
      await visit.counted('a', 2);
    },
    // Over plain http WebKit may keep a page all the same.
    {
      where: ({ browser, scheme }) => browser !== 'webkit' || scheme === 'https',
      pages: { a: { headers: { 'cache-control': 'no-store' }, ...fleeting, ...to('b') } },
    },
  ),
  step(
    'back-to-a-form-s-page',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.follow('#go', 'done');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.back('done');
      await visit.counted('done', 2);
    },
    {
      pages: {
        a: { body: '<form action="done" method="post"><button id="go">Go</button></form>' },
        done: to('b'),
      },
      beyond: { 'returns from the back/forward cache': { missed: ['done'] } },
    },
  ),
  step(
    'view-source',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      const source = await visit.newTab();
      source.go('view-source:' + visit.url('a'));
      await visit.until('the source is shown', async () => (await source.eval('document.body.innerText')).includes('doctype'));
    },
    { where: chromium, pages: { a: { headers: { 'cache-control': 'max-age=600' } } } },
  ),
  step(
    'view-source-of-a-page-that-is-not-kept',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      const source = await visit.newTab();
      source.go('view-source:' + visit.url('a'));
      await visit.until('the source is shown', async () => (await source.eval('document.body.innerText')).includes('doctype'));
    },
    {
      where: chromium,
      pages: { a: { headers: { 'cache-control': 'no-store' } } },
      // The browser asks for it as for the page.
      beyond: { 'sources of pages that no cache keeps': { invented: ['a'] } },
    },
  ),
];
