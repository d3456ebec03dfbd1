// htmx 2 and 4.

import { errors, inPage, link, replaced, script, step, toNext } from './step.mjs';

const versions = { 2: 'htmx2/dist/htmx.min.js', 4: 'htmx4/dist/htmx.min.js' };

function stepsOf(version) {
  const head = script(versions[version]);
  const boost = version === 4 ? 'hx-boost:inherited="true"' : 'hx-boost="true"';
  const page = (body, more = {}) => ({ head, body: `<div ${boost}>${body}</div>`, ...more });
  const fragment = (text = 'A part') => ({ text: `<p id="there">${text}</p>` });
  const button = (attributes) => `<button id="go" ${attributes} hx-target="#into">Go</button><div id="into"></div>`;

  const goes = (id, pages, then, more = {}) =>
    step(`htmx-${version}-${id}`, inPage(toNext(then)), { pages: { b: page(link('c')), c: page(''), ...pages }, ...more });
  const stays = (id, pages, doing, more = {}) =>
    step(`htmx-${version}-${id}`, inPage(doing), { pages, ...more });
  const partly = (tab) => tab.click('#go').then(() => tab.until(`!!document.querySelector('#there')`));

  return [
    goes('boosted-link', { a: page(link('b')) }, async (tab, visit) => {
      await tab.follow('#go', 'c');
      await visit.counted('c');
    }),
    goes('boosted-form-by-get', { a: page('<form action="b"><input name="q" value="x"><button id="go">Go</button></form>') }),
    goes('boosted-form-that-renders', { a: page('<form action="b" method="post"><button id="go">Go</button></form>') }),
    goes('boosted-form-that-redirects', {
      a: page('<form action="save" method="post"><button id="go">Go</button></form>'),
      save: { status: 303, headers: { location: 'b' } },
    }),
    goes('link-to-a-document', { a: { head, body: link('b') } }),
    goes('redirect-header', {
      a: { head, body: button('hx-post="save"') },
      save: { headers: { 'hx-redirect': 'b' }, text: '' },
    }),
    goes('location-header', {
      a: { head, body: button('hx-post="save"') },
      save: ({ pathname }) => ({ headers: { 'hx-location': pathname.replace(/save$/, 'b') }, text: '' }),
    }),
    stays('part', { a: { head, body: button('hx-get="part"') }, part: fragment() }, partly),
    stays('part-by-post', { a: { head, body: button('hx-post="part"') }, part: fragment() }, partly),
    stays(
      'part-on-load',
      { a: { head, body: '<div hx-get="part" hx-trigger="load">…</div>' }, part: fragment() },
      (tab) => tab.until(`!!document.querySelector('#there')`),
    ),
    stays(
      'part-again-and-again',
      {
        a: { head, body: '<div hx-get="part" hx-trigger="every 200ms"></div>' },
        part: ({ count }) => ({ text: count > 2 ? '<p id="there">x</p>' : '' }),
      },
      (tab) => tab.until(`!!document.querySelector('#there')`),
    ),
    stays(
      'part-again-and-again-unchanged',
      {
        a: { head, body: '<div hx-get="part" hx-trigger="every 200ms"></div>' },
        part: ({ headers }) =>
          headers['if-none-match']
            ? { status: 304, type: null, headers: { etag: '"1"' } }
            : { headers: { etag: '"1"', 'cache-control': 'no-cache' }, text: '<p id="there">x</p>' },
      },
      (tab, visit) => visit.asked('part', 3),
    ),
    stays(
      'part-that-pushes-by-header',
      {
        a: { head, body: button('hx-get="part"') },
        part: ({ pathname }) => ({ headers: { 'hx-push-url': pathname.replace(/part$/, 'b') }, text: '<p id="there">x</p>' }),
      },
      async (tab, visit) => {
        await partly(tab);
        await visit.counted('b');
      },
    ),
    stays(
      'part-that-pushes-its-own-address',
      { a: { head, body: button('hx-get="b" hx-push-url="true"') }, b: fragment() },
      async (tab, visit) => {
        await partly(tab);
        await visit.counted('b');
      },
      { beyond: { 'parts of a page that change its address': { missed: ['b'] } } },
    ),
    stays(
      'part-that-replaces-the-address',
      { a: { head, body: button('hx-get="b" hx-replace-url="true"') }, b: fragment() },
      partly,
    ),
    goes('there-and-back-again', { a: page(link('b')), b: page(link('a')) }, async (tab, visit) => {
      await tab.follow('#go', 'a');
      await visit.counted('a', 2);
      await tab.follow('#go', 'b');
      await visit.counted('b', 2);
    }),
    stays(
      'boosted-link-that-pushes-nothing',
      { a: page(link('b', 'b', 'go', 'hx-push-url="false" hx-target="#into"') + '<div id="into"></div>'), b: fragment() },
      partly,
      version === 2 ? { beyond: replaced('b') } : {},
    ),
    stays(
      'boosted-link-that-replaces-the-address',
      { a: page(link('b', 'b', 'go', 'hx-replace-url="true"')), b: page('') },
      (tab) => tab.follow('#go', 'b'),
      { beyond: replaced('b') },
    ),
    stays(
      'boosted-link-to-what-is-missing',
      { a: page(link('missing')), missing: { status: 404, head, tracker: false } },
      async (tab, visit) => {
        await tab.click('#go');
        await visit.asked('missing');
        if (version === 4) await visit.counted('missing');
      },
      version === 4 ? { beyond: errors('missing') } : {},
    ),
    stays(
      'boosted-form-with-mistakes',
      { a: page('<form action="save" method="post"><button id="go">Go</button></form>'), save: { status: 422, head, tracker: false } },
      async (tab, visit) => {
        await tab.click('#go');
        await visit.asked('save');
        if (version === 4) await visit.counted('save');
      },
      version === 4 ? { beyond: errors('save') } : {},
    ),
    stays('refresh-header', { a: { head, body: button('hx-post="save"') }, save: { headers: { 'hx-refresh': 'true' }, text: '' } }, async (tab, visit) => {
      await tab.click('#go');
      await visit.counted('a', 2);
    }),
    stays(
      'location-header-with-a-target',
      {
        a: { head, body: button('hx-post="save"') },
        save: ({ pathname }) => ({
          headers: { 'hx-location': JSON.stringify({ path: pathname.replace(/save$/, 'b'), target: '#into' }) },
          text: '',
        }),
        b: fragment(),
      },
      async (tab, visit) => {
        await partly(tab);
        await visit.counted('b');
      },
    ),
    stays(
      'header-that-replaces-the-address-of-a-boosted-link',
      { a: page(link('old')), old: ({ pathname }) => ({ ...page(''), headers: { 'hx-replace-url': pathname.replace(/old$/, 'b') } }) },
      async (tab, visit) => {
        await tab.click('#go');
        await tab.until(`location.pathname.endsWith('/b')`);
      },
    ),
    stays(
      'whole-page-of-which-a-part-is-taken',
      {
        a: { head, body: '<button id="go" hx-get="b" hx-push-url="true" hx-select="#there" hx-target="#into">Go</button><div id="into"></div>' },
        b: { head, body: '<p id="there">Part</p>' },
      },
      async (tab, visit) => {
        await partly(tab);
        await visit.counted('b');
      },
      version === 2 ? { beyond: { 'parts of a page that change its address': { missed: ['b'] } } } : {},
    ),
    goes(
      'back',
      { a: page(link('b')) },
      async (tab, visit) => {
        await tab.back('a');
        await visit.counted('a', 2);
      },
      version === 2 ? { beyond: { 'returns within a page': { missed: ['a'] } } } : {},
    ),
    ...(version === 2
      ? [
          goes(
            'back-without-a-snapshot',
            {
              a: page(link('b'), { head: `<meta name="htmx-config" content='{"historyCacheSize": 0}'>` + head }),
              b: page('', { head: `<meta name="htmx-config" content='{"historyCacheSize": 0}'>` + head }),
            },
            async (tab, visit) => {
              await tab.back('a');
              await visit.counted('a', 2);
            },
          ),
        ]
      : []),
  ];
}

export const steps = [...stepsOf(2), ...stepsOf(4)];
