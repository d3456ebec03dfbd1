// Makes NAME.jsonl and NAME.tsv here from recordings of the browsing tests: one request of each kind, as
// `gatecount explain --batch` takes it. A kind is what decides: over what it came, its method and fields, its answer's
// status and type. Each new kind's decision is the one that gatecount gives today, to be looked at by a person; the
// decisions of kinds that were here before stay.
//
//   BROWSING_RECORD=/tmp/records cargo nextest run -E 'test(browsing::)'
//   node tests/corpus/pages/make.mjs chromium target/debug/gatecount /tmp/records/chromium-*.jsonl
//
// With GATECOUNT_FULL=1 the frameworks' sites are browsed, too: make.mjs frameworks … /tmp/records/{next,nuxt,…}-*.jsonl

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [name, gatecount, ...files] = process.argv.slice(2);
const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;

// Fields that differ from run to run, or that no decision is made by.
const DULL =
  /^(connection|content-length|cookie|priority|accept-language|accept-encoding|if-none-match|if-modified-since|date|keep-alive|te|sec-ch-.*)$/;
// Fields whose value is of no importance, only that they are there.
const ANY =
  /^(referer|origin|user-agent|host|content-type|x-turbo-request-id|turbolinks-referrer|hx-(current-url|target|source|trigger|trigger-name)|next-(url|action|router-state-tree))$/;
// Paths and parameters that say what a request is for.
const PATHS = /(__data\.json|_payload\.json|\.data)(?=$|\?)|[?&](_routes|x-sveltekit-invalidated)=/g;
// Parts of a framework's program, whose names every build changes.
const BUILT = /^\/(_next|_nuxt|_app|_astro|assets)\//;

const lower = (fields) => fields.map(([field, value]) => [field.toLowerCase(), value]);
const steady = (text) => text.replace(/(localhost|site\.test|other\.test):\d+/g, '$1').replace(/(WebKitFormBoundary|geckoformboundary)\w+/g, '$1');

function signature(over, { method, url, headers, response }) {
  const fields = lower(headers)
    .filter(([field]) => !DULL.test(field))
    .map(([field, value]) => (ANY.test(field) ? field : `${field}=${steady(value)}`));
  const dull = /^x-up-|^sec-speculation-tags/;
  const kept = fields.filter((field) => !dull.test(field) || /x-up-(version|target|mode|validate)/.test(field));
  const type = lower(response.headers).filter(([field]) => /^(content-type|content-disposition|x-inertia|x-action-redirect|hx-|location)/.test(field));
  const told = type.map(([field, value]) => (field === 'content-type' ? value.split(';')[0] : field));
  const own = url.match(PATHS) ?? [];
  // A page that asks for itself.
  const referer = lower(headers).find(([field]) => field === 'referer')?.[1];
  if (own.length && pathOf(referer) === url.split('?')[0].replace(/(\/__data\.json|\/_payload\.json|\.data)$/, '')) own.push('itself');
  return [over, method, ...own, ...kept.sort(), response.status, ...told.sort()].join('\n');
}

const pathOf = (address) => (address ? new URL(address).pathname : undefined);

function line(over, { method, url, headers, response }) {
  const host = over === 'localhost' ? 'localhost' : 'site.test';
  const sent = headers.filter(([field]) => !/^(host|connection|content-length|cookie|te)$/i.test(field));
  return JSON.stringify({
    peer: '127.0.0.1:4711',
    method,
    url,
    headers: [
      ['host', host],
      ...sent.map(([field, value]) => [field, steady(value)]),
      ['x-forwarded-for', '203.0.113.7'],
      ...(over === 'https' ? [['x-forwarded-proto', 'https']] : []),
    ],
    response: { status: response.status, headers: response.headers.map(([field, value]) => [field, steady(value)]) },
  });
}

const before = new Map();
if (existsSync(join(here, `${name}.tsv`))) {
  for (const row of readFileSync(join(here, `${name}.tsv`), 'utf8').split('\n')) {
    const [decision, over, kind] = row.split('\t');
    if (kind) before.set(`${over} ${kind}`, decision);
  }
}
const kinds = new Map();
for (const file of files) {
  const over = basename(file, '.jsonl').split('-').pop();
  for (const text of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const exchange = JSON.parse(text);
    if (!exchange.response || BUILT.test(exchange.url)) continue;
    const key = signature(over, exchange);
    const kind = exchange.url.split('?')[0].replace(/^\/_\//, '/parts-of-pages/').slice(1);
    if (!kinds.has(key)) kinds.set(key, { over, kind, line: line(over, exchange) });
  }
}
const rows = [...kinds.values()].sort((a, b) => a.over.localeCompare(b.over) || a.kind.localeCompare(b.kind));
const names = new Map();
for (const row of rows) {
  const times = (names.get(`${row.over} ${row.kind}`) ?? 0) + 1;
  names.set(`${row.over} ${row.kind}`, times);
  if (times > 1) row.kind += ` (${times})`;
}
const lines = rows.map((row) => row.line).join('\n') + '\n';
const answers = execFileSync(gatecount, ['explain', '--batch', '--app', 'http://127.0.0.1:1', '--domain', 'example.com'], {
  input: lines,
  maxBuffer: 1 << 28,
});
const decisions = answers.toString().split('\n').filter(Boolean).map((answer) => JSON.parse(answer).decision);
writeFileSync(join(here, `${name}.jsonl`), lines);
writeFileSync(
  join(here, `${name}.tsv`),
  rows.map(({ over, kind }, n) => `${before.get(`${over} ${kind}`) ?? decisions[n]}\t${over}\t${kind}\n`).join(''),
);
