// A framework's site, which `frameworks/build` has built, run as a visitor of it would find it.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { join } from 'node:path';
import { until } from './tab.mjs';

const PROGRAMS = {
  next: (port) => ['../node_modules/next/dist/bin/next', 'start', '--hostname', '127.0.0.1', '--port', port],
  nuxt: () => ['.output/server/index.mjs'],
  sveltekit: () => ['build/index.js'],
  'react-router': () => ['../node_modules/@react-router/serve/bin.cjs', 'build/server/index.js'],
  astro: () => ['dist/server/entry.mjs'],
};
// Of a connection, and no part of the answer.
const HOP = /^(connection|keep-alive|transfer-encoding)$/i;

export class Framework {
  #process;
  #port;

  constructor(directory, name) {
    this.directory = directory;
    this.name = name;
  }

  async start() {
    this.#port = await free();
    const newer = ['x64', 'arm64'].map((kind) => join(this.directory, `node_modules/node-linux-${kind}/bin/node`));
    this.#process = spawn(newer.find((file) => existsSync(file)) ?? 'node', PROGRAMS[this.name](String(this.#port)), {
      cwd: join(this.directory, this.name),
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        PORT: String(this.#port),
        NODE_ENV: 'production',
        NEXT_TELEMETRY_DISABLED: '1',
        // What SvelteKit believes of a proxy.
        PROTOCOL_HEADER: 'x-forwarded-proto',
        HOST_HEADER: 'host',
      },
    });
    await until(`${this.name} answers`, () => this.#get());
  }

  #get() {
    return new Promise((resolve, reject) => {
      ask({ host: '127.0.0.1', port: this.#port }, (answer) => resolve(answer.resume())).on('error', reject).end();
    });
  }

  // Hands a request on, and says the answer's status and headers before its body is sent.
  answer(request, response, tell) {
    const { method, url: path, rawHeaders: headers } = request;
    const onward = ask({ host: '127.0.0.1', port: this.#port, method, path, headers }, (answer) => {
      const lines = pairs(answer.rawHeaders).filter(([name]) => !HOP.test(name));
      tell(answer.statusCode, lines.map(([name, value]) => [name.toLowerCase(), value]));
      response.writeHead(answer.statusCode, lines.flat());
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  stop() {
    this.#process?.kill('SIGKILL');
  }
}

export function pairs(raw) {
  return Array.from({ length: raw.length / 2 }, (_, n) => [raw[2 * n], raw[2 * n + 1]]);
}

// A port that nobody listens on.
function free() {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
