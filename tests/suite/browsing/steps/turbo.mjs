// Turbo 8.

import { errors, inPage, link, replaced, script, silent, step, toNext } from './step.mjs';

const head = script('@hotwired/turbo/dist/turbo.es2017-umd.js');
const page = (body, more = {}) => ({ head, body, ...more });
const form = (action, method = 'post') =>
  `<form action="${action}" method="${method}"><input name="q" value="x"><button id="go">Go</button></form>`;

// Goes from a page to another one.
const goes = (id, pages, then, more = {}) =>
  step(`turbo-${id}`, inPage(toNext(then)), { pages: { b: page(link('c')), c: page(''), ...pages }, ...more });

// Does something in a page, which stays.
const stays = (id, pages, doing, more = {}) =>
  step(`turbo-${id}`, inPage(doing), { pages, ...more });

export const steps = [
  goes('link', { a: page(link('b')) }, async (tab, visit) => {
    await tab.follow('#go', 'c');
    await visit.counted('c');
  }),
  goes('link-with-campaign', { a: page(link('b?utm_source=x&n=1')) }),
  stays(
    'redirect',
    // Without it, Turbo fetches ahead while the pointer is on the link for a tenth of a second.
    { a: page(link('old', 'old', 'go', 'data-turbo-prefetch="false"')), b: page(''), old: { status: 302, headers: { location: 'b' } } },
    async (tab, visit) => {
      await tab.follow('#go', 'b');
      await visit.counted('old');
    },
    { alias: { old: 'b' } },
  ),
  goes('form-that-redirects', { a: page(form('save')), save: { status: 303, headers: { location: 'b' } } }),
  goes('form-by-get', { a: page(form('b', 'get')) }),
  goes('link-to-a-document', { a: page(link('b', 'b', 'go', 'data-turbo="false"')) }),
  goes('by-script', { a: page(`<button id="go" onclick="Turbo.visit('b')">Go</button>`) }),
  goes(
    'back',
    { a: page(link('b')) },
    async (tab, visit) => {
      await tab.back('a');
      await visit.counted('a', 2);
    },
    { beyond: { 'returns within a page': { missed: ['a'] } } },
  ),
  goes(
    'back-without-a-snapshot',
    { a: page(link('b'), { head: head + '<meta name="turbo-cache-control" content="no-cache">' }) },
    async (tab, visit) => {
      await tab.back('a');
      await visit.counted('a', 2);
    },
    // Turbo asks for the page as if it refreshed it.
    { beyond: { 'returns within a page': { missed: ['a'] } } },
  ),
  goes('hover-and-link', { a: page(link('b')), b: page(link('c')) }, async (tab, visit) => {
    await tab.follow('#go', 'c');
    await visit.counted('c');
  }),
  stays('form-with-mistakes', { a: page(form('save')), save: { status: 422, head, body: '<p id="wrong">No</p>' } }, (tab) =>
    tab.click('#go').then(() => tab.until(`!!document.querySelector('#wrong')`)),
  ),
  stays(
    'hover-alone',
    { a: page(link('b') + link('c', 'c', 'other')), b: page(''), c: page('') },
    async (tab, visit) => {
      await tab.hover('#go');
      await visit.asked('b');
      await tab.follow('#other', 'c');
      await visit.counted('c');
    },
  ),
  stays(
    'hover-waited-and-shown',
    { a: page(link('b')), b: page(link('c')), c: page('') },
    async (tab, visit) => {
      await tab.hover('#go');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
  ),
  stays(
    'hover-waited-over-a-redirect-and-shown',
    { a: page(link('old')), b: page(''), old: ({ pathname }) => ({ status: 302, headers: { location: pathname.replace('old', 'b') } }) },
    async (tab, visit) => {
      await tab.hover('#go');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('old');
    },
    { alias: { old: 'b' } },
  ),
  stays(
    'frame',
    {
      a: page('<turbo-frame id="f"><a id="go" href="part">part</a></turbo-frame>'),
      part: page('<turbo-frame id="f"><p id="there">Part</p></turbo-frame>', { tracker: false }),
    },
    (tab) => tab.click('#go').then(() => tab.until(`!!document.querySelector('#there')`)),
  ),
  stays(
    'lazy-frame',
    {
      a: page('<turbo-frame id="f" src="part" loading="lazy"></turbo-frame>'),
      part: page('<turbo-frame id="f"><p id="there">Part</p></turbo-frame>', { tracker: false }),
    },
    (tab) => tab.until(`!!document.querySelector('#there')`),
  ),
  stays(
    'frame-that-advances',
    {
      a: page('<turbo-frame id="f" data-turbo-action="advance"><a id="go" href="b">b</a></turbo-frame>'),
      b: page('<turbo-frame id="f"><p id="there">Part</p></turbo-frame>'),
    },
    async (tab, visit) => {
      await tab.click('#go');
      await tab.until(`!!document.querySelector('#there')`);
      await visit.counted('b');
    },
    { beyond: { 'parts of a page that change its address': { missed: ['b'] } } },
  ),
  stays(
    'stream',
    {
      a: page(form('save') + '<ul id="list"></ul>'),
      save: {
        type: 'text/vnd.turbo-stream.html; charset=utf-8',
        text: '<turbo-stream action="append" target="list"><template><li id="there">x</li></template></turbo-stream>',
      },
    },
    (tab) => tab.click('#go').then(() => tab.until(`!!document.querySelector('#there')`)),
  ),
  stays(
    'refresh',
    { a: ({ count }) => page(`<p id="n${count}">`, { head: head + '<meta name="turbo-refresh-method" content="morph">' }) },
    async (tab) => {
      await tab.eval(`Turbo.visit(location.href, { action: 'replace' })`);
      await tab.until(`!!document.querySelector('#n2')`);
    },
  ),
  goes('link-by-post', {
    a: page(link('save', 'save', 'go', 'data-turbo-method="post"')),
    save: { status: 303, headers: { location: 'b' } },
  }),
  stays('link-that-replaces', { a: page(link('b', 'b', 'go', 'data-turbo-action="replace"')), b: page('') }, async (tab, visit) => {
    await tab.follow('#go', 'b');
    await visit.asked('b');
  }, { beyond: replaced('b') }),
  goes('there-and-back-again', { a: page(link('b')), b: page(link('a') + link('c', 'c', 'on')) }, async (tab, visit) => {
    await tab.follow('#go', 'a');
    await visit.counted('a', 2);
    await tab.follow('#go', 'b');
    await visit.counted('b', 2);
    await tab.follow('#on', 'c');
    await visit.counted('c');
  }),
  // Each page is fetched while the pointer is on its link. The last one has its picture from its first view, and no link
  // where the pointer rests: it asks for nothing.
  stays(
    'hover-there-and-back-again-and-left',
    { a: page(link('b')), b: page(`<p style="margin-top: 200px">${link('a')}</p>`) },
    async (tab, visit) => {
      for (const [path, times] of [['b', 1], ['a', 2], ['b', 2]]) {
        await tab.hover('#go');
        await visit.asked(path, times);
        await tab.follow('#go', path);
        await visit.counted(path, times);
      }
    },
    { beyond: silent('b') },
  ),
  goes('reload', { a: page(link('b')) }, async (tab, visit) => {
    await tab.reload();
    await visit.counted('b', 2);
  }),
  // Turbo fetches the page, and then has the browser load it.
  goes('page-that-wants-a-reload', {
    a: page(link('b')),
    b: page('', { head: head + '<meta name="turbo-visit-control" content="reload">' }),
  }),
  goes('other-assets', {
    a: page(link('b'), { head: head + '<meta name="v" content="1" data-turbo-track="reload">' }),
    b: page('', { head: head + '<meta name="v" content="2" data-turbo-track="reload">' }),
  }),
  stays('file', { a: page(link('file')), file: { type: 'text/plain', text: 'words' } }, async (tab, visit) => {
    await tab.click('#go');
    await tab.until(`document.contentType === 'text/plain'`);
  }),
  stays('missing', { a: page(link('missing')), missing: { status: 404, head } }, async (tab, visit) => {
    await tab.follow('#go', 'missing');
    await visit.counted('missing');
  }, { beyond: errors('missing') }),
  stays(
    'form-with-mistakes-and-without',
    {
      a: page(form('save')),
      save: ({ count }) =>
        count === 1 ? { status: 422, head, body: `<p id="wrong">No</p>${form('save')}` } : { status: 303, headers: { location: 'b' } },
      b: page(''),
    },
    async (tab, visit) => {
      await tab.click('#go');
      await tab.until(`!!document.querySelector('#wrong')`);
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
  ),
  goes('preload-and-shown', { a: page(link('b', 'b', 'go', 'data-turbo-preload data-turbo-prefetch="false"')) }, async (tab, visit) => {
    await tab.follow('#go', 'c');
    await visit.counted('c');
  }),
  stays(
    'preload-and-not-shown',
    { a: page(link('b', 'b', 'go', 'data-turbo-preload') + link('c', 'c', 'other')), b: page(''), c: page('') },
    async (tab, visit) => {
      await visit.asked('b');
      await tab.follow('#other', 'c');
      await visit.counted('c');
    },
  ),
  stays(
    'link-out-of-a-frame',
    { a: page('<turbo-frame id="f"><a id="go" href="b" data-turbo-frame="_top">b</a></turbo-frame>'), b: page('') },
    async (tab, visit) => {
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
  ),
  stays(
    'page-that-breaks-out-of-a-frame',
    {
      a: page('<turbo-frame id="f"><a id="go" href="b">b</a></turbo-frame>'),
      b: page('', { head: head + '<meta name="turbo-visit-control" content="reload">' }),
    },
    async (tab, visit) => {
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
  ),
  stays(
    'refresh-by-a-stream',
    {
      a: ({ count }) => page(form('save') + `<p id="n${count}">`),
      save: { type: 'text/vnd.turbo-stream.html; charset=utf-8', text: '<turbo-stream action="refresh"></turbo-stream>' },
    },
    async (tab) => {
      await tab.click('#go');
      await tab.until(`!!document.querySelector('#n2')`);
    },
  ),
];
