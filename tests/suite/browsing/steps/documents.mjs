// Documents: how a person gets to them, and what servers answer.

import { link, notWebkit, step } from './step.mjs';

const to = (path, more) => ({ body: link(path, path, 'go', more) });

export const steps = [
  step('typed', async (tab, visit) => {
    await tab.open('a');
    await visit.counted('a');
  }),
  step(
    'link',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    { pages: { a: to('b'), b: to('c') } },
  ),
  step(
    'query',
    async (tab, visit) => {
      await tab.open('a?utm_source=news&secret=1&ref=x', 'a');
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
    { pages: { a: to('b?page=2&utm_campaign=spring%20sale') } },
  ),
  step(
    'same-page-another-query',
    async (tab, visit) => {
      await tab.open('a?page=1', 'a');
      await visit.counted('a');
      await tab.click('#go');
      await visit.counted('a', 2);
    },
    { pages: { a: to('a?page=2') } },
  ),
  step(
    'fragment',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go');
      await tab.until(`location.hash === '#below'`);
      await tab.follow('#next', 'b');
      await visit.counted('b');
    },
    { pages: { a: { body: link('#below') + link('b#part', 'b', 'next') + '<p id="below">' } } },
  ),
  step(
    'odd-paths',
    async (tab, visit) => {
      await tab.open('gr%C3%BC%C3%9Fe/caf%C3%A9');
      await tab.follow('#go', '50%25-off');
      await tab.follow('#go', 'a,b;c=d/@x/~y');
      await visit.counted('a,b;c=d/@x/~y');
    },
    { pages: { 'gr%C3%BC%C3%9Fe/caf%C3%A9': to('../50%25-off'), '50%25-off': to('a,b;c=d/@x/~y') } },
  ),
  step(
    'path-with-a-dot',
    async (tab, visit) => {
      await tab.open('Node.js');
      await tab.follow('#go', 'page.html');
      await tab.follow('#go', 'index.php');
      await visit.counted('index.php');
    },
    { pages: { 'Node.js': to('page.html'), 'page.html': to('index.php') } },
  ),
  step(
    'from-another-site',
    async (tab, visit) => {
      await tab.open(visit.foreign('start'), 'start');
      await tab.eval(`go.href = ${JSON.stringify(visit.url('a'))}`);
      await tab.follow('#go', 'a');
      await visit.counted('a');
    },
    { pages: { start: { tracker: false, body: link('a') } } },
  ),
  ...[301, 302, 303, 307, 308].map((status) =>
    step(
      `redirect-${status}`,
      async (tab, visit) => {
        await tab.open('a');
        await tab.follow('#go', 'c');
        await visit.counted('c');
      },
      { pages: { a: to('b'), b: { status, headers: { location: 'c' } } } },
    ),
  ),
  step(
    'redirect-chain',
    async (tab, visit) => {
      await tab.open('a', 'd');
      await visit.counted('d');
    },
    {
      pages: {
        a: { status: 302, headers: { location: 'b' } },
        b: { status: 307, headers: { location: 'c?utm_source=x' } },
        c: { status: 301, headers: { location: 'd?utm_source=x' } },
      },
    },
  ),
  step(
    'meta-refresh',
    async (tab, visit) => {
      await tab.open('a', 'b');
      await visit.counted('b');
    },
    { pages: { a: { tracker: false, head: '<meta http-equiv="refresh" content="0; url=b">' } }, beyond: { 'pages left before the script ran': { invented: ['a'] } } },
  ),
  step(
    'refresh-header',
    async (tab, visit) => {
      tab.go('a');
      await visit.counted('a');
      await tab.shows('b');
      await visit.counted('b');
    },
    { pages: { a: { headers: { refresh: '1; url=b' } } } },
  ),
  step(
    'by-script',
    async (tab, visit) => {
      await tab.open('a');
      await tab.eval(`location.href = 'b'`);
      await tab.shows('b');
      await visit.counted('b');
      await tab.eval(`location.replace('c')`);
      await tab.shows('c');
      await visit.counted('c');
    },
  ),
  step(
    'not-found',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'missing');
      await visit.asked('missing');
    },
    { pages: { a: to('missing'), missing: { status: 404, tracker: false } } },
  ),
  step(
    'broken',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'broken');
      await visit.asked('broken');
    },
    { pages: { a: to('broken'), broken: { status: 500, tracker: false } } },
  ),
  step(
    'busy-and-then-not',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    {
      pages: {
        a: ({ count }) =>
          count === 1
            ? { status: 503, tracker: false, headers: { 'retry-after': '1', refresh: '0' } }
            : {},
      },
    },
  ),
  step(
    'no-content',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go');
      await visit.asked('nothing');
      await visit.counted('a');
    },
    { pages: { a: to('nothing'), nothing: { status: 204 } } },
  ),
  step(
    'form-by-get',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'found');
      await visit.counted('found');
    },
    { pages: { a: { body: '<form action="found"><input name="q" value="shoes"><button id="go">Go</button></form>' } } },
  ),
  step(
    'form-that-renders',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'done');
      await visit.counted('done');
    },
    { pages: { a: { body: '<form action="done" method="post"><button id="go" name="x" value="1">Go</button></form>' } } },
  ),
  step(
    'form-that-renders-itself',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.click('#go');
      await visit.counted('a', 2);
    },
    {
      pages: {
        a: { body: '<form method="post" enctype="multipart/form-data"><button id="go" name="x" value="1">Go</button></form>' },
      },
    },
  ),
  step(
    'form-that-redirects',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'done');
      await visit.counted('done');
    },
    {
      pages: {
        a: { body: '<form action="save" method="post"><button id="go" name="x" value="1">Go</button></form>' },
        save: { status: 303, headers: { location: 'done' } },
      },
    },
  ),
  step(
    'form-with-mistakes',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go');
      await tab.shows('save');
      await visit.asked('save');
    },
    {
      pages: {
        a: { body: '<form action="save" method="post"><button id="go" name="x" value="1">Go</button></form>' },
        save: { status: 422, tracker: false },
      },
    },
  ),
  step(
    'new-tab',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go');
      const popup = await visit.popup();
      await popup.shows('b');
      await visit.counted('b');
    },
    { pages: { a: to('b', 'target="_blank"') } },
  ),
  step(
    'window-by-script',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go');
      const popup = await visit.popup();
      await popup.shows('b');
      await visit.counted('b');
    },
    { pages: { a: { body: `<button id="go" onclick="open('b', '', 'width=400,height=300')">Go</button>` } } },
  ),
  step(
    'background-tab',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go', { ctrl: true });
      const popup = await visit.popup();
      await visit.asked('b');
      await popup.front();
      await popup.shows('b');
      await visit.counted('b');
    },
    { where: notWebkit, pages: { a: to('b') } },
  ),
  step(
    'background-tab-never-shown',
    async (tab, visit) => {
      await tab.open('a');
      await tab.click('#go', { ctrl: true });
      const popup = await visit.popup();
      await visit.asked('b');
      await popup.shows('b');
      await popup.close();
    },
    {
      where: notWebkit,
      pages: { a: to('b') },
      beyond: { 'tabs in the background that were never shown': { invented: ['b'] } },
    },
  ),
  step(
    'left-before-an-answer',
    async (tab, visit) => {
      await tab.open('a');
      const [slow, next] = [await tab.middle('#go'), await tab.middle('#next')];
      await tab.clickAt(slow);
      await visit.until('the slow page is asked for', () => visit.requests('slow').length);
      // A driven WebKit clicks nothing while a page is on its way.
      if (visit.mode.browser === 'webkit') tab.go('b');
      else await tab.clickAt(next);
      await tab.shows('b');
      await visit.counted('b');
    },
    {
      pages: {
        a: { body: link('slow') + link('b', 'b', 'next') },
        // No answer before the browser has left.
        slow: ({ response }) => new Promise((resolve) => response.on('close', () => resolve(undefined))),
      },
    },
  ),
  step(
    'slow-page',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'slow');
      await visit.counted('slow');
    },
    {
      pages: {
        a: to('slow'),
        slow: async () => {
          await new Promise((resolve) => setTimeout(resolve, 400));
          return {};
        },
      },
    },
  ),
  step(
    'streamed-page',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'streamed');
      await visit.counted('streamed');
    },
    {
      pages: {
        a: to('streamed'),
        streamed: async ({ page, response }) => {
          const html = page();
          response.setHeader('content-type', 'text/html; charset=utf-8');
          response.writeHead(200);
          response.write(html.slice(0, 200));
          await new Promise((resolve) => setTimeout(resolve, 150));
          response.end(html.slice(200));
        },
      },
    },
  ),
  step(
    'early-hints',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    {
      pages: {
        a: ({ response }) => {
          response.writeEarlyHints({ link: '</_/style.css>; rel=preload; as=style' });
          return {};
        },
      },
    },
  ),
  step(
    'client-hints',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
    { pages: { a: { headers: { 'accept-ch': 'Sec-CH-UA-Platform-Version, Viewport-Width' }, ...to('b') } } },
  ),
  step(
    'critical-client-hints',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    {
      pages: {
        a: {
          headers: {
            'accept-ch': 'Sec-CH-UA-Platform-Version',
            'critical-ch': 'Sec-CH-UA-Platform-Version',
            vary: 'Sec-CH-UA-Platform-Version',
          },
        },
      },
    },
  ),
  step(
    'xhtml',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    {
      pages: {
        a: ({ page }) => ({
          type: 'application/xhtml+xml',
          text: page()
            .replace('<!doctype', '<!DOCTYPE')
            // In XML Chromium does not run the script of a module.
            .replace(/<script.*?<\/script>/, '<script>import("/_/count.js")</script>')
            .replace('<html lang="en">', '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">')
            .replace(/<(meta|link|img)([^>]*)>/g, '<$1$2/>'),
        }),
      },
    },
  ),
  step(
    'no-content-type',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    { pages: { a: { type: null } } },
  ),
  step(
    'excluded',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'admin/users');
      await visit.asked('admin/users');
    },
    { pages: { a: to('admin/users'), 'admin/users': { tracker: false } } },
  ),
  step(
    'frames',
    async (tab, visit) => {
      await tab.open('a');
      await visit.asked('inner');
      await visit.asked('object');
      await visit.counted('a');
    },
    {
      pages: {
        a: { body: '<iframe src="inner"></iframe><object data="object" type="text/html"></object>' },
        inner: { tracker: false },
        object: { tracker: false },
      },
      beyond: ({ secure }) => (secure ? {} : { 'frames over plain http': { invented: ['inner', 'object'] } }),
    },
  ),
  step(
    'link-in-a-frame',
    async (tab, visit) => {
      await tab.open('a');
      await tab.until(`!!frames[0].document.querySelector('#go')`);
      await tab.eval(`frames[0].document.querySelector('#go').click()`);
      await visit.asked('second');
    },
    {
      pages: {
        a: { body: '<iframe src="inner"></iframe>' },
        inner: { tracker: false, ...to('second') },
        second: { tracker: false },
      },
      beyond: ({ secure }) => (secure ? {} : { 'frames over plain http': { invented: ['inner', 'second'] } }),
    },
  ),
];
