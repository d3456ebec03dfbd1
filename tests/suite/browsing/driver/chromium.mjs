// Chromium, spoken to by the DevTools protocol over a pipe. Of each tab only what moves it is switched on: no domain
// that watches requests, as these change how pages are cached and fetched ahead.

import { spawn } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36';

export class Chromium {
  #next = 1;
  #calls = new Map();
  #listeners = new Set();

  // `certificate` is the file of the one that is trusted.
  static async start(program, { certificate }) {
    const trusted = certificate ? [`--ignore-certificate-errors-spki-list=${keyHash(certificate)}`] : [];
    const browser = new Chromium();
    browser.home = mkdtempSync(join(tmpdir(), 'browsing-'));
    browser.process = spawn(
      program,
      [
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        // To ignore every certificate's errors would keep pages out of the cache.
        ...trusted,
        '--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LocalNetworkAccessChecks,Translate',
        '--host-resolver-rules=MAP * 127.0.0.1',
        // A mouse, without a screen.
        '--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4',
        // Without this it says that it is headless, and counts as a bot.
        `--user-agent=${AGENT}`,
        `--user-data-dir=${browser.home}`,
        '--remote-debugging-pipe',
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: browser.home } },
    );
    let rest = Buffer.alloc(0);
    browser.process.stdio[4].on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
        browser.#hear(JSON.parse(rest.subarray(0, end).toString()));
      }
    });
    browser.process.stdio[3].on('error', () => {});
    await browser.call('Target.setDiscoverTargets', { discover: true });
    return browser;
  }

  call(method, params = {}, sessionId) {
    const id = this.#next++;
    this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
    return new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject, method }));
  }

  #hear(message) {
    const call = this.#calls.get(message.id);
    if (!call) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    this.#calls.delete(message.id);
    if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
    else call.resolve(message.result);
  }

  // A profile of its own, which shares nothing with another one.
  async profile() {
    const { browserContextId } = await this.call('Target.createBrowserContext');
    await this.call('Browser.setDownloadBehavior', {
      behavior: 'allow',
      browserContextId,
      downloadPath: join(this.home, 'downloads'),
    });
    const opened = [];
    const known = new Set();
    this.#listeners.add(({ method, params }) => {
      const target = params?.targetInfo;
      if (method !== 'Target.targetCreated' || target.type !== 'page') return;
      if (target.browserContextId !== browserContextId || known.has(target.targetId)) return;
      known.add(target.targetId);
      opened.push(target.targetId);
    });
    const attach = async (targetId) => {
      const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
      return new ChromiumTab(this, targetId, sessionId);
    };
    return {
      // A window of its own, so that it is visible.
      tab: async () => {
        const created = this.call('Target.createTarget', { url: 'about:blank', browserContextId, newWindow: true });
        const { targetId } = await created;
        known.add(targetId);
        const at = opened.indexOf(targetId);
        if (at >= 0) opened.splice(at, 1);
        return attach(targetId);
      },
      // The next tab that a page opened, if there is one by now.
      opened: async () => (opened.length ? attach(opened.shift()) : undefined),
    };
  }

  kill() {
    this.process.kill('SIGKILL');
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.call('Browser.close').catch(() => {});
    const late = setTimeout(() => this.kill(), 5000);
    await ended;
    clearTimeout(late);
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

function keyHash(file) {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

class ChromiumTab {
  constructor(browser, target, session) {
    this.browser = browser;
    this.target = target;
    this.call = (method, params) => browser.call(method, params, session);
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Does not wait: not every address answers.
  navigate(url) {
    this.call('Page.navigate', { url, transitionType: 'typed' }).catch(() => {});
  }

  async mouse(kind, x, y, { ctrl = false, button = 'left' } = {}) {
    const type = { move: 'mouseMoved', down: 'mousePressed', up: 'mouseReleased' }[kind];
    await this.call('Input.dispatchMouseEvent', {
      type,
      x,
      y,
      modifiers: ctrl ? 2 : 0,
      ...(kind === 'move' ? {} : { button, clickCount: 1 }),
    });
  }

  async history(delta) {
    const { currentIndex, entries } = await this.call('Page.getNavigationHistory');
    await this.call('Page.navigateToHistoryEntry', { entryId: entries[currentIndex + delta].id });
  }

  async reload(hard) {
    await this.call('Page.reload', { ignoreCache: hard });
  }

  async front() {
    await this.call('Page.bringToFront');
  }

  async close() {
    await this.browser.call('Target.closeTarget', { targetId: this.target });
  }
}
