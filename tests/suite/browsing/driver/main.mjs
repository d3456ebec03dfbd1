// Browses: serves the site, runs the steps in a browser through the proxy before it, and says what the tracker sent.
//
// Its argument is a JSON object: `browser` (chromium, firefox or webkit), `program`, `scheme`, `host`, `modules` (where
// npm installed the libraries), `tracker` (the script's file), `certificate` and `key` (the proxy's, for https), `at_once`
// (how many steps run beside each other), `brief` (only what browsers do each in its own way), `framework` (the name of
// one: its steps are browsed, and its site is the app), `frameworks` (where the sites of the frameworks are built),
// `only` (a part of the steps' names). It writes {"app": PORT}, reads the proxy's port from its input, and then writes
// one JSON object a step, and what the app was asked at the end.

import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Chromium } from './chromium.mjs';
import { Firefox } from './firefox.mjs';
import { Framework } from './framework.mjs';
import { Site } from './site.mjs';
import { Tab, until } from './tab.mjs';
import { WebKit } from './webkit.mjs';
import { brief, steps as all } from '../steps/all.mjs';
import { steps as frameworks } from '../steps/frameworks.mjs';

const options = JSON.parse(process.argv[2]);
const { browser: kind, scheme, host } = options;
// Secure contexts send `Sec-Fetch-*` and have service workers and speculation rules.
const modeOf = (scheme, host) => ({ browser: kind, scheme, secure: scheme === 'https' || host === 'localhost' });
const mode = modeOf(scheme, host);
const applies = (step) => (!step.where || step.where(mode)) && (!options.only || step.id.includes(options.only));
const MODES = [['http', 'site.test'], ['https', 'site.test'], ['http', 'localhost']];
const isMine = (step, index) => {
  const modes = MODES.filter((other) => !step.where || step.where(modeOf(...other)));
  const [itsScheme, itsHost] = modes[index % modes.length];
  return itsScheme === scheme && itsHost === host;
};
const chosen = options.framework ? frameworks(options.framework) : options.brief ? brief : all;
const steps = chosen.filter((step, index) => applies(step) && (!options.shared || isMine(step, index)));
const framework = options.framework && new Framework(options.frameworks, options.framework);
// WebKit takes nothing in plain text for a page over https, not from this machine either.
const pair = kind === 'webkit' && scheme === 'https' ? options : undefined;
const site = new Site({ steps, modules: options.modules, tracker: options.tracker, pair, framework });
await site.listen();
const say = (object) => process.stdout.write(JSON.stringify(object) + '\n');
let browser;
let done = false;
const input = createInterface({ input: process.stdin });
// Whoever started this has gone.
input.once('close', () => {
  if (done) return;
  browser?.kill();
  framework?.stop();
  process.exit(1);
});
await framework?.start();
say({ app: site.port });
const proxy = Number(await new Promise((resolve) => input.once('line', resolve)));
const foreign = `http://other.test:${site.port}`;

const start = {
  chromium: () => Chromium.start(options.program, options),
  firefox: () =>
    Firefox.start(options.program, {
      hosts: [host, 'other.test'],
      WebSocket: createRequire(join(options.modules, 'x'))('ws'),
    }),
  webkit: () => WebKit.start(options.program),
};
browser = await start[kind]();

// One step, in the lane's tab. Each step's pages have paths of their own, so steps share a cache as visits do.
async function run(step, lane) {
  const { profile } = lane;
  const tabs = [];
  const base = `${scheme}://${host}:${proxy}/${step.id}/`;
  const pathname = (path) => new URL(path, base).pathname;
  const mine = (path) => (url) => new URL(url, base).pathname === pathname(path);
  const visit = {
    mode,
    base,
    url: (path) => new URL(path, base).href,
    // The same site's pages, by the address of the app and another host's name.
    foreign: (path) => `${foreign}/${step.id}/${path}`,
    async newTab() {
      const tab = new Tab(await empty(profile), visit);
      tabs.push(tab);
      return tab;
    },
    // The tab that a page opens.
    async popup() {
      const tab = new Tab(await until('a new tab', () => profile.opened()), visit);
      tabs.push(tab);
      return tab;
    },
    // Waits until the tracker counted the page so often.
    counted: (path, times = 1) =>
      until(`${path} is counted ${times} times`, () => site.events.filter(({ url }) => mine(path)(url)).length >= times),
    // Waits until the app was asked for this and answered, so often.
    asked: (path, times = 1) =>
      until(
        `${path} is asked for ${times} times`,
        () => site.requests.filter(({ url, response }) => mine(path)(url) && response).length >= times,
      ),
    requests: (path) => site.requests.filter(({ url }) => mine(path)(url)),
    until,
  };
  const begun = Date.now();
  let error = null;
  try {
    lane.raw ??= await empty(profile);
    await step.run(new Tab(lane.raw, visit), visit);
    await leave(lane.raw);
  } catch (caught) {
    error = caught.stack;
    await lane.raw?.close().catch(() => {});
    lane.raw = undefined;
  }
  for (const tab of tabs) await tab.close().catch(() => {});
  return { id: step.id, took: Date.now() - begun, error };
}

// A new tab that has its empty page. A browser that is still loading that would put it in the place of what it is told to
// open next.
async function empty(profile) {
  const raw = await profile.tab();
  await leave(raw);
  return raw;
}

// Leaves the last page of a step, so that nothing of it goes on. The address has something of its own, because Firefox
// shows `about:blank` for a moment before it is the page that was asked for.
async function leave(raw) {
  raw.navigate('about:blank?left');
  const left = `location.href === 'about:blank?left' && document.readyState === 'complete'`;
  await until('the page is left', () => raw.evaluate(left));
}

const waiting = [...steps];
const results = [];
await Promise.all(
  Array.from({ length: options.at_once ?? 3 }, async () => {
    const lane = { profile: await browser.profile() };
    for (let step; (step = waiting.shift()); ) results.push({ step, ...(await run(step, lane)) });
  }),
);
await browser.stop();
const last = site.events.length;
for (const { step, id, took, error } of results) {
  const events = site.events.slice(0, last).filter(({ url }) => new URL(url).pathname.split('/')[1] === id);
  const beyond = typeof step.beyond === 'function' ? step.beyond(mode) : step.beyond;
  say({ step: id, took, error, events, beyond: beyond ?? {}, alias: step.alias ?? {} });
}
say({ requests: site.requests });
done = true;
framework?.stop();
site.close();
input.close();
