// Pages that are fetched before a person goes to them, and then shown, or not.

import { both, chromium, link, prefetches, script, secure, silent, step } from './step.mjs';

const rules = (object) => `<script type="speculationrules">${JSON.stringify(object)}</script>`;
const urls = (kind, list, eagerness = 'immediate') => rules({ [kind]: [{ urls: list, eagerness }] });
const links = (kind, eagerness) => rules({ [kind]: [{ where: { selector_matches: '#go' }, eagerness }] });
const alive = { body: link('c') };
const speculation = both(chromium, secure);

// A page fetches another one ahead: then a person goes there, or does not.
const pair = (id, head, where, { goes = {}, stays = {}, before = async () => {} } = {}) => [
  step(
    `${id}-and-shown`,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await before(tab);
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    { where, pages: { a: { head, body: link('b') }, b: alive }, ...goes },
  ),
  step(
    `${id}-and-not-shown`,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await before(tab);
      await visit.asked('b');
      await tab.follow('#other', 'c');
      await visit.counted('c');
    },
    { where, pages: { a: { head, body: link('b') + link('c', 'c', 'other') }, b: alive }, ...stays },
  ),
];

const hover = { before: (tab) => tab.hover('#go') };

export const steps = [
  ...pair('prefetch-by-a-link', '<link rel="prefetch" href="b">', prefetches),
  ...pair('prefetch-by-a-link-as-document', '<link rel="prefetch" as="document" href="b">', prefetches),
  ...pair('prefetch-by-rules', urls('prefetch', ['b']), speculation),
  ...pair('prerender-by-rules', urls('prerender', ['b']), speculation),
  ...pair('prefetch-by-rules-on-hover', links('prefetch', 'moderate'), speculation, hover),
  ...pair('prerender-by-rules-on-hover', links('prerender', 'moderate'), speculation, hover),
  step(
    'prefetch-by-a-header',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    {
      where: speculation,
      pages: {
        a: { headers: { 'speculation-rules': '"rules.json"' }, body: link('b') },
        'rules.json': {
          type: 'application/speculationrules+json',
          text: JSON.stringify({ prefetch: [{ urls: ['b'], eagerness: 'immediate' }] }),
        },
        b: alive,
      },
    },
  ),
  // The last page of a visit, with nothing of its own: no request tells that it was shown.
  step(
    'prerender-of-a-bare-page-and-shown',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
    {
      where: speculation,
      pages: { a: { head: urls('prerender', ['b']), body: link('b') }, b: { bare: true } },
      beyond: silent('b'),
    },
  ),
  step(
    'prefetch-of-many-and-one-shown',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      for (const path of ['b', 'd', 'e']) await visit.asked(path);
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    {
      where: speculation,
      pages: { a: { head: urls('prefetch', ['b', 'd', 'e']), body: link('b') }, b: alive, d: alive, e: alive },
    },
  ),
  step(
    'prefetch-of-a-redirect-and-shown',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    {
      where: speculation,
      pages: {
        a: { head: urls('prefetch', ['old']), body: link('old') },
        old: { status: 302, headers: { location: 'b' } },
        b: alive,
      },
    },
  ),
  ...pair('prefetch-by-instant-page', script('instant.page/instantpage.js', 'type="module"'), prefetches, hover),
  ...pair(
    'prefetch-by-quicklink',
    script('quicklink/dist/quicklink.umd.js') +
      `<script>addEventListener('load', () => quicklink.listen({ ignores: [(url) => !url.endsWith('/b')] }))</script>`,
    prefetches,
  ),
  step(
    'prefetch-by-a-link-header',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    { where: chromium, pages: { a: { headers: { link: '<b>; rel=prefetch' }, body: link('b') }, b: alive } },
  ),
  step(
    'prerender-and-shown-by-script',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.eval(`void (location.href = 'b')`);
      await tab.shows('b');
      await visit.counted('b');
      await tab.reload();
      await visit.counted('b', 2);
    },
    { where: speculation, pages: { a: { head: urls('prerender', ['b']) } } },
  ),
  step(
    'prerender-of-a-redirect-and-shown',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
    },
    {
      where: speculation,
      pages: { a: { head: urls('prerender', ['old']), body: link('old') }, old: { status: 302, headers: { location: 'b' } } },
    },
  ),
  // A server that has no time for what nobody has asked for.
  step(
    'prefetch-that-is-refused-and-shown',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    {
      where: speculation,
      pages: {
        a: { head: urls('prefetch', ['b']), body: link('b') },
        b: ({ headers }) => (headers['sec-purpose'] ? { status: 503, tracker: false } : alive),
      },
    },
  ),
  step(
    'prefetch-and-shown-in-a-new-tab',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.click('#go');
      const popup = await visit.popup();
      await popup.shows('b');
      await popup.follow('#go', 'c');
      await visit.counted('c');
    },
    { where: speculation, pages: { a: { head: urls('prefetch', ['b']), body: link('b', 'b', 'go', 'target="_blank"') }, b: alive } },
  ),
  step(
    'prefetch-twice-and-shown-twice',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await visit.asked('b');
      await tab.follow('#go', 'b');
      await visit.counted('b');
      await tab.open('a');
      await visit.counted('a', 2);
      await tab.hover('#go');
      await tab.follow('#go', 'b');
      await visit.counted('b', 2);
      await tab.follow('#go', 'c');
      await visit.counted('c');
    },
    { where: speculation, pages: { a: { head: urls('prefetch', ['b']), body: link('b') }, b: alive } },
  ),
];
