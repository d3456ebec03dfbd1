// Swup, PJAX, Barba and Turbolinks: they fetch the next page and swap what differs.

import { inPage, link, script, step, toNext } from './step.mjs';

const swup =
  script('swup/dist/Swup.umd.js') +
  script('@swup/preload-plugin/dist/index.umd.js') +
  `<script type="module">window.swup = new Swup({ containers: ['#swup'], animationSelector: false, plugins: PLUGINS });</script>`;
const pjax =
  script('jquery/dist/jquery.min.js') +
  script('jquery-pjax/jquery.pjax.js') +
  `<script>$(document).pjax('a', '#pjax', { timeout: 60000 });
$(document).on('submit', 'form', (e) => $.pjax.submit(e, '#pjax', { timeout: 60000 }));</script>`;
const barba = script('@barba/core/dist/barba.umd.js') + `<script type="module">barba.init({ prefetchIgnore: IGNORE }); window.there = true;</script>`;
const turbolinks = script('turbolinks/dist/turbolinks.js');

const heading = (html) => /<h1 id="here".*?<\/h1>(<img[^>]*>)?/.exec(html)[0];

// The heading lies in what is swapped.
const within = (before, after, { head, body }) => ({ page }) => {
  const html = page({ head });
  const title = heading(html);
  return { text: html.replace(title, before + title + body + after) };
};
const kinds = {
  swup: (body) => within('<main id="swup">', '</main>', { head: swup.replace('PLUGINS', '[]'), body }),
  'swup-preload': (body) =>
    within('<main id="swup">', '</main>', { head: swup.replace('PLUGINS', '[new SwupPreloadPlugin()]'), body }),
  // The server leaves the layout out.
  pjax: (body) => (ask) =>
    ask.headers['x-pjax']
      ? { text: `<title>${ask.pathname}</title>${heading(ask.page())}${body}` }
      : within('<main id="pjax">', '</main>', { head: pjax, body })(ask),
  barba: (body) =>
    within('<div data-barba="wrapper"><main data-barba="container" data-barba-namespace="x">', '</main></div>', {
      head: barba.replace('IGNORE', 'true'),
      body,
    }),
  'barba-prefetch': (body) =>
    within('<div data-barba="wrapper"><main data-barba="container" data-barba-namespace="x">', '</main></div>', {
      head: barba.replace('IGNORE', 'false'),
      body,
    }),
  turbolinks: (body) => within('', '', { head: turbolinks, body }),
};

const goes = (kind, id, pages, then, more = {}) =>
  step(`${kind}-${id}`, inPage(toNext(then)), {
    pages: { b: kinds[kind](link('c')), c: kinds[kind](''), ...pages },
    ...more,
  });
const on = async (tab, visit) => {
  await tab.follow('#go', 'c');
  await visit.counted('c');
};
const back = async (tab, visit) => {
  await tab.back('a');
  await visit.counted('a', 2);
};
const within_a_page = { beyond: { 'returns within a page': { missed: ['a'] } } };
const form = (method) => `<form action="b" method="${method}"><input name="q" value="x"><button id="go">Go</button></form>`;

// A page is fetched while the pointer is on its link, and then shown, or not.
const hovers = (kind, beyond) => [
  step(
    `${kind}-and-shown`,
    inPage(async (tab, visit) => {
      await tab.hover('#go');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    }),
    { pages: { a: kinds[kind](link('b')), b: kinds[kind](link('c')), c: kinds[kind]('') } },
  ),
  step(
    `${kind}-and-not-shown`,
    inPage(async (tab, visit) => {
      await tab.hover('#go');
      await visit.asked('b');
      await tab.follow('#other', 'c');
      await visit.counted('c');
    }),
    {
      pages: { a: kinds[kind](link('b') + link('c', 'c', 'other')), b: kinds[kind](''), c: kinds[kind]('') },
      beyond,
    },
  ),
];

export const steps = [
  goes('swup', 'link', { a: kinds.swup(link('b')) }, on),
  step(
    'swup-redirect',
    inPage(async (tab, visit) => {
      await tab.follow('#go', 'b');
      await visit.counted('old');
    }),
    {
      pages: { a: kinds.swup(link('old')), b: kinds.swup(''), old: { status: 302, headers: { location: 'b' } } },
      alias: { old: 'b' },
    },
  ),
  goes('swup', 'back', { a: kinds.swup(link('b')) }, back),
  ...hovers('swup-preload', { 'pages fetched ahead as if they were shown': { invented: ['b'] } }),
  goes('pjax', 'link', { a: kinds.pjax(link('b')) }, on),
  goes('pjax', 'form', { a: kinds.pjax(form('get')) }),
  goes('pjax', 'form-that-renders', { a: kinds.pjax(form('post')) }),
  goes('pjax', 'back', { a: kinds.pjax(link('b')) }, back, within_a_page),
  goes('barba', 'link', { a: kinds.barba(link('b')) }, on),
  goes('barba', 'back', { a: kinds.barba(link('b')) }, back),
  ...hovers('barba-prefetch'),
  goes('turbolinks', 'link', { a: kinds.turbolinks(link('b')) }, on),
  goes('turbolinks', 'form', { a: kinds.turbolinks(form('post')) }),
  // It asks at some returns, and at others shows what it kept: here it has kept nothing.
  goes('turbolinks', 'back', { a: kinds.turbolinks(link('b')) }, async (tab, visit) => {
    await tab.eval('Turbolinks.clearCache()');
    await back(tab, visit);
  }),
  ...['swup', 'pjax', 'barba', 'turbolinks'].map((kind) =>
    goes(kind, 'there-and-back-again', { a: kinds[kind](link('b')), b: kinds[kind](link('a')) }, async (tab, visit) => {
      await tab.follow('#go', 'a');
      await visit.counted('a', 2);
      await tab.follow('#go', 'b');
      await visit.counted('b', 2);
    }, ['swup', 'barba'].includes(kind) ? { beyond: { 'returns within a page': { missed: ['b'] } } } : {}),
  ),
];
