// Firefox, spoken to by WebDriver BiDi over a WebSocket.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// What a test must not meet: first-run pages, updates, and whatever else speaks to the outside. The names that pages
// are asked for by are this machine's.
const preferences = (hosts) => ({
  'network.dns.localDomains': hosts.join(','),
  'browser.shell.checkDefaultBrowser': false,
  'browser.aboutwelcome.enabled': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.startup.page': 0,
  'browser.newtabpage.enabled': false,
  'browser.download.useDownloadDir': true,
  'browser.download.always_ask_before_handling_new_types': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.safebrowsing.downloads.enabled': false,
  'browser.search.update': false,
  'browser.region.network.url': '',
  'app.update.enabled': false,
  'app.normandy.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'datareporting.healthreport.uploadEnabled': false,
  'toolkit.telemetry.enabled': false,
  'toolkit.telemetry.server': '',
  'extensions.update.enabled': false,
  'extensions.getAddons.cache.enabled': false,
  'services.settings.server': 'data:,',
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'dom.disable_open_during_load': false,
  'dom.push.connection.enabled': false,
  'dom.security.https_first': false,
  'dom.security.https_first_schemeless': false,
  'remote.active-protocols': 1,
  // A mouse, without a screen.
  'ui.primaryPointerCapabilities': 6,
  'ui.allPointerCapabilities': 6,
});

export class Firefox {
  #next = 1;
  #calls = new Map();
  #listeners = new Set();

  static async start(program, { hosts, WebSocket }) {
    const browser = new Firefox();
    browser.home = mkdtempSync(join(tmpdir(), 'browsing-'));
    const lines = Object.entries({ ...preferences(hosts), 'browser.download.dir': browser.home, 'browser.download.folderList': 2 });
    const file = lines.map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`);
    writeFileSync(join(browser.home, 'user.js'), file.join(''));
    browser.process = spawn(program, ['-headless', '-no-remote', '-profile', browser.home, '-remote-debugging-port', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, HOME: browser.home, MOZ_DISABLE_AUTO_SAFE_MODE: '1' },
    });
    const url = await new Promise((resolve, reject) => {
      let said = '';
      browser.process.stderr.on('data', (bytes) => {
        said += bytes;
        const found = /WebDriver BiDi listening on (ws:\S+)/.exec(said);
        if (found) resolve(found[1]);
      });
      browser.process.once('exit', (code) => reject(new Error(`Firefox ended with ${code}: ${said}`)));
    });
    browser.socket = new WebSocket(`${url}/session`);
    await new Promise((resolve, reject) => {
      browser.socket.addEventListener('open', resolve);
      browser.socket.addEventListener('error', reject);
    });
    browser.socket.addEventListener('message', ({ data }) => browser.#hear(JSON.parse(data)));
    await browser.call('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    await browser.call('session.subscribe', { events: ['browsingContext.contextCreated'] });
    return browser;
  }

  call(method, params = {}) {
    const id = this.#next++;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject, method }));
  }

  #hear(message) {
    const call = this.#calls.get(message.id);
    if (!call) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    this.#calls.delete(message.id);
    if (message.type === 'error') call.reject(new Error(`${call.method}: ${message.error}: ${message.message}`));
    else call.resolve(message.result);
  }

  // A container of its own, which shares nothing with another one.
  async profile() {
    const { userContext } = await this.call('browser.createUserContext');
    const opened = [];
    const known = new Set();
    this.#listeners.add(({ method, params }) => {
      if (method !== 'browsingContext.contextCreated' || params.parent) return;
      if (params.userContext !== userContext || known.has(params.context)) return;
      known.add(params.context);
      opened.push(params.context);
    });
    return {
      tab: async () => {
        const { context } = await this.call('browsingContext.create', { type: 'window', userContext });
        known.add(context);
        const at = opened.indexOf(context);
        if (at >= 0) opened.splice(at, 1);
        return new FirefoxTab(this, context);
      },
      opened: async () => (opened.length ? new FirefoxTab(this, opened.shift()) : undefined),
    };
  }

  kill() {
    this.process.kill('SIGKILL');
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.call('browser.close').catch(() => {});
    const late = setTimeout(() => this.kill(), 10000);
    await ended;
    clearTimeout(late);
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

const PLAIN = { string: true, number: true, boolean: true };

class FirefoxTab {
  constructor(browser, context) {
    this.browser = browser;
    this.context = context;
  }

  async evaluate(expression) {
    const answer = await this.browser.call('script.evaluate', {
      expression,
      target: { context: this.context },
      awaitPromise: true,
      userActivation: true,
    });
    if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text);
    const { type, value } = answer.result;
    if (type === 'array') return value.map((item) => item.value);
    return PLAIN[type] ? value : undefined;
  }

  navigate(url) {
    this.browser.call('browsingContext.navigate', { context: this.context, url, wait: 'none' }).catch(() => {});
  }

  async mouse(kind, x, y, { ctrl = false, button = 'left' } = {}) {
    const number = { left: 0, middle: 1 }[button];
    const move = { type: 'pointerMove', x: Math.round(x), y: Math.round(y) };
    const action = { move, down: { type: 'pointerDown', button: number }, up: { type: 'pointerUp', button: number } }[kind];
    const key = { type: kind === 'up' ? 'keyUp' : 'keyDown', value: '\uE009' };
    const keys = ctrl && kind !== 'move' ? [{ type: 'key', id: 'keys', actions: kind === 'up' ? [{ type: 'pause' }, key] : [key] }] : [];
    const pause = ctrl && kind === 'down' ? [{ type: 'pause' }] : [];
    await this.browser.call('input.performActions', {
      context: this.context,
      actions: [...keys, { type: 'pointer', id: 'mouse', actions: [...pause, action] }],
    });
  }

  async history(delta) {
    await this.browser.call('browsingContext.traverseHistory', { context: this.context, delta });
  }

  async reload(hard) {
    if (hard) throw new Error('Firefox has no reload that ignores the cache here');
    await this.browser.call('browsingContext.reload', { context: this.context, wait: 'none' });
  }

  async front() {
    await this.browser.call('browsingContext.activate', { context: this.context });
  }

  async close() {
    await this.browser.call('browsingContext.close', { context: this.context });
  }
}
