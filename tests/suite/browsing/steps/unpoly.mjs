// Unpoly 3.

import { inPage, script, step, toNext } from './step.mjs';

const head = script('unpoly/unpoly.min.js') + '<link rel="stylesheet" href="/_/modules/unpoly/unpoly.min.css">';
// Unpoly replaces the main element, so what the page is called stands in it.
const page = (body, more = {}) => ({ page: layout, pathname }) => {
  const html = layout({ head, ...more, body: `<p id="rest">Rest</p>` });
  const title = /<h1 id="here".*?<\/h1>(<img[^>]*>)?/.exec(html)[0];
  return { ...more, text: html.replace(title, `<main>${title}${body}</main>`) };
};
const follow = (to, more = '') => `<a id="go" href="${to}" up-follow ${more}>${to}</a> `;

const goes = (id, pages, then, more = {}) =>
  step(`unpoly-${id}`, inPage(toNext(then)), { pages: { b: page(follow('c')), c: page(''), ...pages }, ...more });
const stays = (id, pages, doing, more = {}) =>
  step(`unpoly-${id}`, inPage(doing), { pages, ...more });
const partly = (tab) => tab.click('#go').then(() => tab.until(`!!document.querySelector('#there')`));
const part = page('<div id="part"><p id="there">Part</p></div>', { tracker: false });

export const steps = [
  goes('link', { a: page(follow('b')) }, async (tab, visit) => {
    await tab.follow('#go', 'c');
    await visit.counted('c');
  }),
  goes('link-for-the-body', { a: page(follow('b', 'up-target="body"')) }),
  goes('redirect', { a: page(follow('old')), old: { status: 302, headers: { location: 'b' } } }),
  goes('form-that-redirects', {
    a: page('<form up-submit action="save" method="post"><button id="go">Go</button></form>'),
    save: { status: 303, headers: { location: 'b' } },
  }),
  goes('back', { a: page(follow('b')) }, async (tab, visit) => {
    await tab.back('a');
    await visit.counted('a', 2);
  }),
  stays('part', { a: page('<a id="go" href="part" up-target="#part" up-history="false">x</a><div id="part"></div>'), part }, partly),
  stays('popup', { a: page('<a id="go" href="part" up-layer="new popup" up-target="#part">x</a>'), part }, partly),
  stays('modal', { a: page('<a id="go" href="b" up-layer="new">x</a>'), b: part }, async (tab, visit) => {
    await partly(tab);
    await visit.counted('b');
  }),
  stays(
    'modal-with-history',
    { a: page('<a id="go" href="b" up-layer="new" up-target="#part" up-history="true">x</a>'), b: part },
    async (tab, visit) => {
      await partly(tab);
      await visit.counted('b');
    },
    // What it asks for is the same as without history.
    { beyond: { 'parts of a page that change its address': { missed: ['b'] } } },
  ),
  stays(
    'modal-without-history',
    { a: page('<a id="go" href="b" up-layer="new" up-target="#part" up-history="false">x</a>'), b: part },
    partly,
  ),
  stays(
    'validation',
    {
      a: page(`<form up-submit action="save" method="post"><fieldset><input id="go" name="x" up-validate></fieldset></form>`),
      save: page(
        '<form up-submit action="save" method="post"><fieldset><input id="go" name="x" up-validate><p id="there">No</p></fieldset></form>',
        { tracker: false, status: 422 },
      ),
    },
    async (tab) => {
      await tab.eval(`(go.value = 'y', go.dispatchEvent(new Event('change', { bubbles: true })))`);
      await tab.until(`!!document.querySelector('#there')`);
    },
  ),
  stays(
    'preload-and-shown',
    { a: page(follow('b', 'up-preload')), b: page(follow('c')), c: page('') },
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
    'preload-and-not-shown',
    { a: page(follow('b', 'up-preload') + '<a id="other" href="c" up-follow>c</a>'), b: page(''), c: page('') },
    async (tab, visit) => {
      await tab.hover('#go');
      await visit.asked('b');
      await tab.follow('#other', 'c');
      await visit.counted('c');
    },
    // A preload is asked for as the page is when the link is followed.
    { beyond: { 'pages fetched ahead as if they were shown': { invented: ['b'] } } },
  ),
  goes('there-and-back-again', { a: page(follow('b')), b: page(follow('a')) }, async (tab, visit) => {
    await tab.follow('#go', 'a');
    await visit.counted('a', 2);
    await tab.follow('#go', 'b');
    await visit.counted('b', 2);
  }, { beyond: { 'returns within a page': { missed: ['b'] } } }),
  goes('form-by-get', { a: page('<form up-submit action="b"><input name="q" value="x"><button id="go">Go</button></form>') }),
  stays('reload-of-a-part', { a: ({ count, ...ask }) => page(`<div id="part"><p id="n${count}"></p></div>`)(ask) }, async (tab) => {
    await tab.eval(`void up.reload('#part')`);
    await tab.until(`!!document.querySelector('#n2')`);
  }),
];
