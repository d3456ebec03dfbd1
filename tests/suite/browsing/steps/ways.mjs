// Ways to a page beside a plain link, and what only looks like one.

import { gzipSync } from 'node:zlib';
import { both, chromium, link, notWebkit, script, step } from './step.mjs';

const to = (path, more) => ({ body: link(path, path, 'go', more) });
const form = (attributes, id = 'go') => `<form ${attributes}><input name="q" value="x"><button id="${id}">Go</button></form>`;
const left = (...paths) => ({ 'pages left before the script ran': { invented: paths } });
const redirect = (location, status = 302) => ({ status, headers: { location } });

// Goes from a page to another one, and to a third.
const goes = (id, pages, more = {}) =>
  step(
    id,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    { pages: { b: to('c'), ...pages }, ...more },
  );

// Opens a page, which stays.
const stays = (id, pages, doing, more = {}) =>
  step(
    id,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await doing(tab, visit);
    },
    { pages, ...more },
  );

// A page that does not end before the browser leaves it. Browsers show a page once they know its first 512 bytes.
const endless = ({ page, response }) => {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.writeHead(200);
  response.write(page().slice(0, 400) + ' '.repeat(4096));
};

// A router as people write it themselves: it fetches the next page and puts it in the place of the one before.
const router = (order) => `<script type="module">
addEventListener('click', async (e) => {
  const link = e.target.closest('a');
  if (!link) return;
  e.preventDefault();
  ${order.replace('PUSH', `history.pushState({}, '', link.href)`).replace('FETCH', `const text = await (await fetch(link.href)).text()`)};
  document.body.innerHTML = new DOMParser().parseFromString(text, 'text/html').body.innerHTML;
});
</script>`;
const routed = (id, order, more) => {
  const head = router(order);
  return goes(id, { a: { head, ...to('b') }, b: { head, ...to('c') }, c: { head } }, more);
};

export const steps = [
  step(
    'base',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'deep/er/b');
      await visit.counted('deep/er/b');
    },
    { pages: { a: { head: '<base href="deep/er/">', ...to('b') } } },
  ),
  goes('without-a-referrer', { a: { head: '<meta name="referrer" content="no-referrer">', ...to('b') } }),
  stays('the-same-address-again', { a: to('a') }, async (tab, visit) => {
    await tab.click('#go');
    await visit.counted('a', 2);
  }),
  stays('new-tab-without-an-opener', { a: to('b', 'target="_blank" rel="noopener noreferrer"'), b: to('c') }, async (tab, visit) => {
    await tab.click('#go');
    const popup = await visit.popup();
    await popup.front();
    await popup.shows('b');
    await popup.follow('#go', 'c');
    await visit.counted('c');
  }),
  stays('window-that-is-sent-on', { a: { body: `<button id="go" onclick="open('about:blank', '', 'width=400,height=300').location = 'b'">Go</button>` } }, async (tab, visit) => {
    await tab.click('#go');
    const popup = await visit.popup();
    await popup.shows('b');
    await visit.counted('b');
  }),
  stays('middle-click', { a: to('b') }, async (tab, visit) => {
    await tab.click('#go', { button: 'middle' });
    const popup = await visit.popup();
    await popup.front();
    await popup.shows('b');
    await visit.counted('b');
  }, { where: notWebkit }),
  stays('the-same-page-in-two-tabs', {}, async (tab, visit) => {
    const other = await visit.newTab();
    await other.open('a');
    await visit.counted('a', 2);
  }),
  goes('by-the-navigation-api', { a: { body: `<button id="go" onclick="navigation.navigate('b')">Go</button>` } }, { where: chromium }),
  goes('by-a-script-that-clicks', { a: { body: link('b', 'b', 'hidden', 'hidden') + `<button id="go" onclick="document.querySelector('#hidden').click()">Go</button>` } }),
  stays(
    'by-a-blob',
    {
      a: {
        body: `<button id="go">Go</button><script>
const html = \`<!doctype html><p id="made"></p><a id="on" href="\${new URL('c', location.href)}">c</a>\`;
go.onclick = () => (location.href = URL.createObjectURL(new Blob([html], { type: 'text/html' })));
</script>`,
      },
    },
    async (tab, visit) => {
      await tab.click('#go');
      await tab.until(`!!document.querySelector('#made')`);
      await tab.follow('#on', 'c');
      await visit.counted('c');
    },
  ),
  stays('saved-blob', { a: { body: '<button id="go">Go</button>' } }, async (tab) => {
    await tab.eval(`(() => {
      const saved = document.createElement('a');
      saved.href = URL.createObjectURL(new Blob(['x']));
      saved.download = 'x.txt';
      saved.click();
    })()`);
  }),

  // Forms.
  stays('form-to-a-new-tab', { a: { body: form('action="b" method="post" target="_blank"') } }, async (tab, visit) => {
    await tab.click('#go');
    const popup = await visit.popup();
    await popup.shows('b');
    await visit.counted('b');
  }),
  goes('form-by-script', { a: { body: form('action="b" method="post"', 'submit') + `<button id="go" onclick="document.forms[0].requestSubmit()">Go</button>` }, b: to('c') }),
  goes('form-over-a-307', { a: { body: form('action="save" method="post"') }, save: redirect('b', 307) }),
  goes('form-over-a-308-by-get', { a: { body: form('action="found"') }, found: redirect('b', 308) }),
  goes('form-that-is-answered-with-201', { a: { body: form('action="b" method="post"') }, b: { status: 201, ...to('c') } }),
  stays(
    'form-with-mistakes-and-without',
    {
      a: { body: form('action="save" method="post"') },
      save: ({ count }) => (count === 1 ? { status: 422, tracker: false, body: form('action="save" method="post"') } : redirect('b', 303)),
    },
    async (tab, visit) => {
      await tab.follow('#go', 'save');
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
  ),
  step(
    'login',
    async (tab, visit) => {
      await tab.open('account', 'login');
      await tab.follow('#go', 'account');
      await visit.counted('account');
    },
    {
      pages: {
        account: ({ headers }) => (/\bin=1/.test(headers.cookie) ? {} : redirect('login?next=account')),
        login: { body: form('action="session" method="post"') },
        session: { status: 303, headers: { location: 'account', 'set-cookie': 'in=1; Path=/login/' } },
      },
    },
  ),

  // Answers.
  goes('compressed', { a: ({ page }) => ({ headers: { 'content-encoding': 'gzip' }, text: gzipSync(page(to('b'))) }) }),
  goes('compressed-without-a-type', { a: ({ page }) => ({ type: null, headers: { 'content-encoding': 'gzip' }, text: gzipSync(page(to('b'))) }) }),
  goes('type-in-capitals', { b: { type: 'TEXT/HTML; Charset=UTF-8', ...to('c') }, a: to('b') }),
  goes('redirect-to-a-fragment', { a: to('old'), old: redirect('b#part') }),
  step(
    'errors',
    async (tab, visit) => {
      for (const status of [400, 403, 410, 429, 502]) {
        await tab.open(`e${status}`);
        await visit.asked(`e${status}`);
      }
      await tab.open('a');
      await visit.counted('a');
    },
    { pages: Object.fromEntries([400, 403, 410, 429, 502].map((status) => [`e${status}`, { status, tracker: false }])) },
  ),
  step(
    'from-another-site-over-a-redirect',
    async (tab, visit) => {
      await tab.open(visit.foreign('start'), 'start');
      await tab.eval(`go.href = 'hop?to=' + encodeURIComponent(${JSON.stringify(visit.url('a'))})`);
      await tab.follow('#go', 'a');
      await visit.counted('a');
    },
    {
      pages: {
        start: { tracker: false, ...to('hop') },
        hop: ({ request }) => redirect(new URL(request.url, 'http://other.test').searchParams.get('to')),
      },
    },
  ),
  step(
    'cookie-and-again',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    {
      pages: {
        a: ({ headers }) =>
          /\bperson=1/.test(headers.cookie)
            ? {}
            : { tracker: false, head: `<script>document.cookie = 'person=1; path=/cookie-and-again/'; location.reload()</script>` },
      },
      beyond: left('a'),
    },
  ),
  stays('refreshes-itself', { a: ({ count }) => (count === 1 ? { head: '<meta http-equiv="refresh" content="1">' } : {}) }, (tab, visit) =>
    visit.counted('a', 2),
  ),
  stays(
    'left-amid-a-page',
    { a: to('slow'), slow: endless },
    async (tab, visit) => {
      await tab.click('#go');
      await tab.until(`location.pathname.endsWith('/slow')`);
      tab.go('b');
      await tab.shows('b');
      await visit.counted('b');
    },
    { beyond: left('slow') },
  ),

  // Frames.
  stays('link-out-of-a-frame', { a: { body: '<iframe src="inner"></iframe>' }, inner: { tracker: false, ...to('b', 'target="_top"') } }, async (tab, visit) => {
    await tab.until(`!!frames[0].document.querySelector('#go')`);
    await tab.eval(`frames[0].document.querySelector('#go').click()`);
    await tab.shows('b');
    await visit.counted('b');
  }, { beyond: ({ secure }) => (secure ? {} : { 'frames over plain http': { invented: ['inner'] } }) }),
  stays(
    'frames-of-all-kinds',
    {
      a: {
        body: `<iframe srcdoc="<a id=go href=second>x</a>"></iframe><embed src="embedded" type="text/html"><iframe loading="lazy" src="lazy" sandbox="allow-scripts"></iframe>
<iframe name="into"></iframe><form action="posted" method="post" target="into"><input name="x"></form>`,
      },
      second: { tracker: false },
      embedded: { tracker: false },
      lazy: { tracker: false },
      posted: { tracker: false },
    },
    async (tab, visit) => {
      await tab.until(`!!frames[0].document.querySelector('#go')`);
      await tab.eval(`(frames[0].document.querySelector('#go').click(), document.forms[0].submit(), true)`);
      for (const path of ['second', 'embedded', 'lazy', 'posted']) await visit.asked(path);
    },
    {
      beyond: ({ secure }) =>
        secure ? {} : { 'frames over plain http': { invented: ['second', 'embedded', 'lazy', 'posted'] } },
    },
  ),

  // What a page loads, from a host that answers everything with a page of its own.
  stays(
    'parts-that-are-pages',
    {
      a: {
        head: `<link rel="manifest" href="manifest"><link rel="icon" href="icon"><link rel="stylesheet" href="styles"><link rel="preload" as="font" href="font" crossorigin>
<link rel="modulepreload" href="module"><script src="script" async></script><link rel="alternate" type="application/rss+xml" href="feed">
<link rel="preload" as="fetch" href="fetched" crossorigin><script type="module">import('./imported').catch(() => {})</script>`,
        body: `<img src="image" alt=""><picture><source srcset="picture"><img alt=""></picture><audio src="sound" preload="auto"></audio>
<video preload="auto"><source src="film"><track default src="words"></video><object data="object" type="image/png"></object><p style="background: url(background)">x</p>`,
      },
      ...Object.fromEntries(
        ['manifest', 'icon', 'styles', 'font', 'module', 'script', 'fetched', 'imported', 'image', 'picture', 'sound', 'film', 'words', 'object', 'background'].map((path) => [path, { tracker: false }]),
      ),
    },
    async (tab, visit) => {
      for (const path of ['styles', 'script', 'imported', 'image', 'picture', 'background']) await visit.asked(path);
    },
    { beyond: ({ secure }) => (secure ? {} : { 'frames over plain http': { invented: ['object'] } }) },
  ),
  goes('link-with-a-ping', { a: to('b', 'ping="ping"'), ping: { tracker: false } }),
  stays('asks-by-jquery', { a: { head: script('jquery/dist/jquery.min.js'), body: '<div id="into"></div>' }, part: { text: '<p id="there">x</p>' }, whole: { tracker: false } }, async (tab) => {
    await tab.eval(`(jQuery('#into').load('part'), jQuery.get('whole'), true)`);
    await tab.until(`!!document.querySelector('#there')`);
  }),

  // Pages that a script puts in the place of the one before.
  routed('own-router', 'FETCH; PUSH'),
  // Its request comes from the page that it is for, as that of a refresh.
  routed('own-router-that-pushes-first', 'PUSH; FETCH', {
    beyond: { 'pages that a script asks for under their own address': { missed: ['b', 'c'] } },
  }),

  // History.
  step(
    'back-over-two-pages',
    async (tab, visit) => {
      await tab.open('a');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
      await tab.eval('history.go(-2)');
      await tab.shows('a');
      await visit.counted('a', 2);
    },
    { pages: { a: to('b'), b: to('c') }, beyond: { 'returns from the back/forward cache': { missed: ['a'] } } },
  ),
  step(
    'back-within-a-frame',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.until(`!!frames[0].document.querySelector('#go')`);
      await tab.eval(`frames[0].document.querySelector('#go').click()`);
      await visit.asked('second');
      await tab.until(`frames[0].location.pathname.endsWith('/second') && frames[0].document.readyState === 'complete'`);
      await tab.eval('history.back()');
      await tab.until(`frames[0].location.pathname.endsWith('/inner')`);
    },
    {
      where: both(chromium, ({ secure }) => secure),
      pages: { a: { body: '<iframe src="inner"></iframe>' }, inner: { tracker: false, ...to('second') }, second: { tracker: false } },
    },
  ),
];
