// WebKit's GTK port, spoken to by WebDriver. Its driver has one session, which is a browser of its own: each profile is one.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Socks } from './socks.mjs';

// Safari's name, for rules that depend on it.
const AGENT =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15';
const SCREEN = ['-screen', '0', '1280x1024x24', '-nolisten', 'tcp', '-noreset', '-displayfd', '3'];

export class WebKit {
  #drivers = [];

  static async start(program) {
    const browser = new WebKit();
    browser.program = program;
    browser.home = mkdtempSync(join(tmpdir(), 'browsing-'));
    browser.socks = await Socks.start();
    browser.screen = spawn('Xvfb', SCREEN, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
    browser.display = await new Promise((resolve, reject) => {
      browser.screen.stdio[3].once('data', (bytes) => resolve(`:${bytes.toString().trim()}`));
      browser.screen.once('exit', (code) => reject(new Error(`Xvfb ended with ${code}`)));
    });
    return browser;
  }

  // A browser of its own, which keeps nothing and shares nothing with another one.
  async profile() {
    const session = await Session.start(this);
    const known = new Set(await session.call('GET', '/window/handles'));
    return {
      tab: async () => {
        const { handle } = await session.call('POST', '/window/new', { type: 'window' });
        known.add(handle);
        return new WebKitTab(session, handle);
      },
      opened: async () => {
        const handles = await session.call('GET', '/window/handles');
        const handle = handles.find((other) => !known.has(other));
        if (!handle) return undefined;
        known.add(handle);
        return new WebKitTab(session, handle);
      },
    };
  }

  drive(port) {
    const home = mkdtempSync(join(this.home, 'profile-'));
    const driver = spawn(this.program, ['--host=127.0.0.1', `--port=${port}`], {
      stdio: 'ignore',
      env: {
        ...process.env,
        DISPLAY: this.display,
        GDK_BACKEND: 'x11',
        LC_ALL: 'en_GB.UTF-8',
        HOME: home,
        XDG_RUNTIME_DIR: home,
        XDG_CONFIG_HOME: home,
        XDG_CACHE_HOME: home,
        XDG_DATA_HOME: home,
        // No desktop, and no graphics card.
        NO_AT_BRIDGE: '1',
        GSETTINGS_BACKEND: 'memory',
        WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      },
    });
    this.#drivers.push(driver);
    return driver;
  }

  // Browsers end with their screen.
  kill() {
    for (const process of [this.screen, ...this.#drivers]) process.kill('SIGKILL');
  }

  async stop() {
    this.socks.close();
    const ended = new Promise((resolve) => this.screen.once('exit', resolve));
    this.kill();
    await ended;
    rmSync(this.home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

class Session {
  #last = Promise.resolve();
  #window;

  static async start(browser) {
    const session = new Session();
    // Somebody else may take the port first.
    for (let tries = 0; !(await session.#reach(browser, await freePort())); tries++) {
      if (tries === 5) throw new Error('WebKitWebDriver does not start');
    }
    const alwaysMatch = {
      acceptInsecureCerts: true,
      pageLoadStrategy: 'none',
      'webkitgtk:browserOptions': {
        binary: miniBrowser(),
        args: [
          '--automation',
          // Links fetch ahead too: WebKit has that, but leaves it switched off.
          '--features=+LinkPrefetch',
          `--user-agent=${AGENT}`,
          // Names are this machine's.
          `--proxy=socks5://127.0.0.1:${browser.socks.port}`,
        ],
      },
    };
    const { sessionId } = await session.send('POST', '/session', { capabilities: { alwaysMatch } });
    session.at += `/session/${sessionId}`;
    // It is never closed.
    session.first = await session.send('GET', '/window');
    return session;
  }

  // Starts the driver on this port. Whether it is there.
  async #reach(browser, port) {
    const driver = browser.drive(port);
    let ended = false;
    driver.once('exit', () => (ended = true));
    this.at = `http://127.0.0.1:${port}`;
    while (!ended) {
      if (await this.send('GET', '/status').catch(() => {})) return true;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return false;
  }

  async send(method, path, body) {
    const response = await fetch(this.at + path, { method, body: body && JSON.stringify(body) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }

  // One command after the other, each in its window.
  call(method, path, body, handle = this.first) {
    const call = this.#last.then(async () => {
      if (handle !== this.#window) {
        await this.send('POST', '/window', { handle });
        this.#window = handle;
      }
      return this.send(method, path, body);
    });
    this.#last = call.catch(() => {});
    return call;
  }
}

// Debian has it once for each of the library's interfaces.
function miniBrowser() {
  const found = readdirSync('/usr/lib').flatMap((triple) =>
    ['webkit2gtk-4.1', 'webkit2gtk-4.0', 'webkitgtk-6.0'].map((library) => join('/usr/lib', triple, library, 'MiniBrowser')),
  );
  const program = found.find(existsSync);
  if (!program) throw new Error('MiniBrowser is not where it is looked for');
  return program;
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

class WebKitTab {
  constructor(session, handle) {
    this.handle = handle;
    this.call = (method, path, body) => session.call(method, path, body, handle);
  }

  evaluate(expression) {
    return this.call('POST', '/execute/sync', { script: `return (${expression})`, args: [] });
  }

  navigate(url) {
    this.call('POST', '/url', { url }).catch(() => {});
  }

  async mouse(kind, x, y, { ctrl = false, button = 'left' } = {}) {
    const number = { left: 0, middle: 1 }[button];
    const move = { type: 'pointerMove', x: Math.round(x), y: Math.round(y), duration: 0 };
    const action = { move, down: { type: 'pointerDown', button: number }, up: { type: 'pointerUp', button: number } }[kind];
    const key = { type: kind === 'up' ? 'keyUp' : 'keyDown', value: '\uE009' };
    const keys = ctrl && kind !== 'move' ? [{ type: 'key', id: 'keys', actions: kind === 'up' ? [{ type: 'pause' }, key] : [key] }] : [];
    const pause = ctrl && kind === 'down' ? [{ type: 'pause' }] : [];
    const pointer = { type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions: [...pause, action] };
    await this.call('POST', '/actions', { actions: [...keys, pointer] });
  }

  async history(delta) {
    await this.call('POST', delta < 0 ? '/back' : '/forward', {});
  }

  async reload(hard) {
    if (hard) throw new Error('WebKit has no reload that ignores the cache here');
    await this.call('POST', '/refresh', {});
  }

  async front() {
    await this.call('POST', '/window', { handle: this.handle });
  }

  async close() {
    await this.call('DELETE', '/window');
  }
}
