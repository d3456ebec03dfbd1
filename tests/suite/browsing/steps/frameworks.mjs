// Sites of frameworks that need a build: those of `frameworks/`, each with the same pages under the step's own path.

import { step } from './step.mjs';

const WITHOUT_A_REQUEST = 'pages shown by script without a request';
const WITHIN = 'returns within a page';
const NOT_FOUND = 'pages that are not found';

// Opens a page, and waits until the framework's own script runs.
async function begin(tab, visit, path) {
  await tab.open(path);
  await tab.until('!!window.there');
  await visit.counted(path);
}

// A page that comes in by a transition cannot be clicked meanwhile.
async function click(tab, selector) {
  await tab.until(`!document.getAnimations().length && !document.documentElement.dataset.astroTransition`);
  await tab.click(selector);
}

async function go(tab, visit, selector, path, times = 1) {
  await click(tab, selector);
  await tab.shows(path);
  await visit.counted(path, times);
}

// What a person does, by the step's name.
const common = {
  async link(tab, visit) {
    await begin(tab, visit, 'home');
    await go(tab, visit, '#go', 'posts/1');
    await go(tab, visit, '#go', 'posts/2');
    await go(tab, visit, '#home', 'home', 2);
  },
  async 'by-script'(tab, visit) {
    await begin(tab, visit, 'home');
    await tab.eval(`void there.push(new URL('done', location.href).pathname)`);
    await tab.shows('done');
    await visit.counted('done');
  },
  async 'hover-and-not-followed'(tab, visit) {
    await begin(tab, visit, 'home');
    await tab.hover('#go');
    await tab.hover('#list');
    await go(tab, visit, '#list', 'list');
    await go(tab, visit, '#go', 'posts/1');
  },
  async 'hover-waited-and-followed'(tab, visit) {
    await begin(tab, visit, 'home');
    await tab.hover('#go');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await go(tab, visit, '#go', 'posts/1');
    await go(tab, visit, '#home', 'home', 2);
  },
  async back(tab, visit) {
    await begin(tab, visit, 'home');
    await go(tab, visit, '#go', 'posts/1');
    // Else a page that comes back may be fetched ahead by the pointer.
    await tab.away();
    await tab.back('home');
    await visit.counted('home', 2);
    await tab.forward('posts/1');
    await visit.counted('posts/1', 2);
  },
  async 'another-query'(tab, visit) {
    await begin(tab, visit, 'list');
    await click(tab, '#next');
    await tab.until(`!!document.querySelector('#page-2')`);
    await click(tab, '#next');
    await tab.until(`!!document.querySelector('#page-3')`);
    await go(tab, visit, '#go', 'posts/1');
  },
  async redirect(tab, visit) {
    await begin(tab, visit, 'home');
    await click(tab, '#old');
    await tab.shows('posts/1');
    await go(tab, visit, '#go', 'posts/2');
  },
  async 'form-that-redirects'(tab, visit) {
    await begin(tab, visit, 'form');
    await go(tab, visit, '#go', 'done');
    await go(tab, visit, '#go', 'home');
  },
  async 'form-that-stays'(tab, visit) {
    await begin(tab, visit, 'form');
    await click(tab, '#stay');
    await tab.until(`!!document.querySelector('#said')`);
    await go(tab, visit, '#go', 'done');
  },
  async static(tab, visit) {
    await begin(tab, visit, 'home');
    await go(tab, visit, '#static', 'about');
    await go(tab, visit, '#go', 'posts/1');
  },
  async 'static-last'(tab, visit) {
    await begin(tab, visit, 'home');
    await go(tab, visit, '#static', 'about');
  },
  async 'static-not-followed'(tab, visit) {
    await begin(tab, visit, 'home');
    await tab.hover('#static');
    await go(tab, visit, '#list', 'list');
  },
  async guide(tab, visit) {
    await begin(tab, visit, 'home');
    await go(tab, visit, '#guide', 'guide');
    await go(tab, visit, '#go', 'posts/1');
  },
  async 'not-found'(tab, visit) {
    await begin(tab, visit, 'home');
    await click(tab, '#none');
    await tab.until(`!!document.querySelector('#none') && location.pathname.endsWith('/posts/none')`);
    await visit.counted('posts/none');
  },
  async 'no-route'(tab, visit) {
    await begin(tab, visit, 'home');
    await click(tab, '#missing');
    await tab.until(`location.pathname.endsWith('/missing')`);
    await visit.counted('missing');
  },
  async refresh(tab, visit) {
    await begin(tab, visit, 'home');
    await tab.eval(`void there.refresh()`);
    await go(tab, visit, '#go', 'posts/1');
    await tab.eval(`void there.refresh()`);
    await go(tab, visit, '#home', 'home', 2);
  },
  async bare(tab, visit) {
    await begin(tab, visit, 'home');
    await go(tab, visit, '#bare', 'bare');
    await go(tab, visit, '#go', 'posts/1');
  },
};

const missed = (why, ...paths) => ({ [why]: { missed: paths } });
const notFound = missed(NOT_FOUND, 'posts/none');
const noRoute = missed(NOT_FOUND, 'missing');
const unseen = (...paths) => ({ beyond: missed(WITHOUT_A_REQUEST, ...paths) });

// What a server cannot see of it, by framework and step; `null` where the framework has no such thing.
const differences = {
  next: {
    bare: null,
    back: { beyond: missed(WITHIN, 'home', 'posts/1') },
    // Next.js has the address already when it hears of the redirect.
    redirect: { alias: { old: 'posts/1' } },
    'no-route': { beyond: noRoute },
  },
  // Only pages that are built ahead, or kept for a while, have data of their own; the others ask for nothing, or for
  // what an endpoint gives to all.
  nuxt: {
    bare: null,
    link: unseen('posts/1', 'posts/2', 'home'),
    'by-script': unseen('done'),
    'hover-and-not-followed': unseen('list', 'posts/1'),
    'hover-waited-and-followed': unseen('posts/1', 'home'),
    back: { beyond: { ...missed(WITHOUT_A_REQUEST, 'posts/1'), ...missed(WITHIN, 'home', 'posts/1') } },
    'another-query': unseen('posts/1'),
    redirect: unseen('posts/1', 'posts/2'),
    'form-that-redirects': unseen('done', 'home'),
    'form-that-stays': unseen('done'),
    static: unseen('posts/1'),
    'static-not-followed': unseen('list'),
    guide: unseen('posts/1'),
    'not-found': { beyond: notFound },
    'no-route': { beyond: noRoute },
    refresh: unseen('posts/1', 'home'),
  },
  sveltekit: {
    bare: unseen('bare'),
    // Its data comes from an endpoint of the app's own.
    guide: unseen('guide'),
    back: { beyond: missed(WITHIN, 'home', 'posts/1') },
    'not-found': { beyond: notFound },
    'no-route': { beyond: noRoute },
  },
  'react-router': {
    bare: unseen('bare'),
    back: { beyond: missed(WITHIN, 'home', 'posts/1') },
    'not-found': { beyond: notFound },
    'no-route': { beyond: noRoute },
  },
  astro: {
    bare: null,
    refresh: null,
    back: { beyond: missed(WITHIN, 'home', 'posts/1') },
    'not-found': { beyond: notFound },
    'no-route': { beyond: noRoute },
  },
};

export const steps = (name) =>
  Object.entries(common)
    .filter(([id]) => differences[name][id] !== null)
    .map(([id, run]) => step(`${name}-${id}`, run, differences[name][id]));
