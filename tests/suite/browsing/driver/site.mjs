// The site that is browsed: each step's pages under the step's own path, what pages share under `/_/`, and the place
// where the tracker's events arrive. It keeps each request with its answer.

import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const TYPES = { js: 'text/javascript', mjs: 'text/javascript', css: 'text/css', png: 'image/png' };

export const DOT = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

export class Site {
  // What the app was asked, in order: step, method, url, headers, and the answer's status and headers.
  requests = [];
  // What the tracker sent, in order.
  events = [];
  #steps;
  #waiting = new Set();

  #framework;

  // `pair`: the files with which the tracker's events are taken over https. Where there is a framework, its site answers
  // what is not shared.
  constructor({ steps, modules, tracker, pair, framework }) {
    this.#framework = framework;
    this.#steps = new Map(steps.map((step) => [step.id, step]));
    this.modules = modules;
    this.tracker = readFileSync(tracker);
    this.pair = pair && { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) };
  }

  async listen() {
    const open = (server) =>
      new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
    this.servers = [
      createServer((request, response) => this.#answer(request, response)),
      this.pair
        ? createSecureServer(this.pair, (request, response) => this.#receive(request, response))
        : createServer((request, response) => this.#receive(request, response)),
    ];
    // Longer than the proxy in front keeps a connection.
    this.servers[0].keepAliveTimeout = 60000;
    [this.port, this.collector] = [await open(this.servers[0]), await open(this.servers[1])];
  }

  close() {
    for (const server of this.servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  // Something new was asked or sent.
  changed() {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #tell() {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  // A page with the tracker, and with an image of its own that no cache has, unless it is bare. `head` and `body` are
  // HTML.
  page(at, { head = '', body = '', tracker = true, main = '', bare = false } = {}) {
    const image = bare ? '' : `<img src="/_/dot${at.replaceAll('/', '-')}.png" alt="">`;
    const script = '<script type="module" src="/_/count.js"></script>';
    return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${at}</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/_/style.css">${head}${tracker ? script : ''}</head>
<body${main}><h1 id="here" data-at="${at}">${at}</h1>${image}${body}</body></html>`;
  }

  #answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://site.test');
    const [, id, ...rest] = pathname.split('/');
    const entry = { step: id, method: request.method, url: request.url, headers: pairs(request.rawHeaders) };
    this.requests.push(entry);
    response.on('close', () => {
      if (response.headersSent) entry.response ??= { status: response.statusCode, headers: sent(response) };
      this.#tell();
    });
    this.#tell();
    const chunks = [];
    if (this.#framework && id !== '_') {
      return this.#framework.answer(request, response, (status, headers) => (entry.response = { status, headers }));
    }
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      try {
        if (id === '_') return this.#shared(rest.join('/'), response);
        const step = this.#steps.get(id);
        const path = rest.join('/');
        const ask = { path, pathname, query: searchParams, request, headers: request.headers, response };
        ask.method = request.method;
        ask.form = new URLSearchParams(Buffer.concat(chunks).toString());
        ask.page = (parts) => this.page(pathname, parts);
        ask.count = this.requests.filter((other) => new URL(other.url, 'http://site.test').pathname === pathname).length;
        const page = step?.pages?.[path] ?? step?.pages?.['*'] ?? (step ? {} : { status: 404, type: 'text/plain', text: '' });
        const answer = typeof page === 'function' ? await page(ask) : page;
        if (answer !== undefined) this.#write(response, ask, answer);
      } catch (error) {
        response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error.stack));
      }
    });
  }

  #write(response, ask, answer) {
    const { status = 200, type = 'text/html; charset=utf-8', headers = {}, text, ...parts } = answer;
    const body = [204, 304].includes(status) ? '' : text ?? ask.page(parts);
    const lines = { ...(type && status !== 204 ? { 'content-type': type } : {}), ...headers };
    for (const [name, value] of Object.entries(lines)) response.setHeader(name, value);
    response.writeHead(status).end(ask.method === 'HEAD' ? '' : body);
  }

  #shared(path, response) {
    const type = TYPES[path.split('?')[0].split('.').pop()] ?? 'text/plain';
    const write = (body, cache = 'max-age=3600') =>
      response.writeHead(200, { 'content-type': type, 'cache-control': cache }).end(body);
    if (path === 'tracker.js') return write(this.tracker);
    if (path === 'count.js') {
      const endpoint = `${this.pair ? 'https' : 'http'}://127.0.0.1:${this.collector}/api/event`;
      const init = JSON.stringify({ domain: 'example.com', endpoint, captureOnLocalhost: true });
      return write(`import { init } from './tracker.js';\ninit(${init});`);
    }
    if (path === 'style.css') return write('body { font: 16px sans-serif; margin: 2em; }\na { display: inline-block; padding: 4px; }');
    if (path.startsWith('dot')) return write(DOT, 'no-store');
    if (path.startsWith('modules/')) return write(readFileSync(join(this.modules, path.slice(8).replaceAll('..', ''))));
    response.writeHead(404, { 'content-type': 'text/plain' }).end();
  }

  #receive(request, response) {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(202, { 'access-control-allow-origin': '*', 'content-type': 'text/plain' }).end('ok');
      if (request.method !== 'POST') return;
      const event = JSON.parse(Buffer.concat(chunks).toString());
      if (event.n === 'pageview') this.events.push({ url: event.u, referrer: event.r });
      this.#tell();
    });
  }
}

// What gatecount adds on the way is none of the browser's.
const ADDED = /^(x-forwarded-|x-real-ip$|forwarded$|via$)/i;

function pairs(raw) {
  const lines = [];
  for (let i = 0; i < raw.length; i += 2) if (!ADDED.test(raw[i])) lines.push([raw[i], raw[i + 1]]);
  return lines;
}

function sent(response) {
  return Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]);
}
