// What a step does with a tab, whatever the browser.

// Longer than a busy machine takes for anything.
const PATIENCE = 120000;

export async function until(what, probe) {
  const limit = Date.now() + PATIENCE;
  for (let last; ; ) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      // A page that is being replaced has nothing to ask.
      last = error.message;
    }
    if (Date.now() > limit) throw new Error(`not in time: ${what} (${last})`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export class Tab {
  #raw;
  #visit;

  constructor(raw, visit) {
    this.#raw = raw;
    this.#visit = visit;
  }

  // Goes to an address as if it was typed, and waits until the page is there.
  async open(path, shown = path) {
    this.go(path);
    await this.shows(shown);
  }

  // Goes to an address and does not wait.
  go(path) {
    this.#raw.navigate(/^[a-z-]+:/.test(path) ? path : this.#visit.url(path));
  }

  // Waits until this page is shown: its address, its content, and all that it loads.
  async shows(path) {
    const pathname = JSON.stringify(new URL(path, this.#visit.base).pathname);
    const here = `document.querySelector('#here')?.dataset.at`;
    const wanted = `${here} === ${pathname} && location.pathname === ${pathname} && document.readyState === 'complete'`;
    await until(`${path} is shown`, async () => {
      if (await this.eval(wanted)) return true;
      throw new Error(await this.eval(`location.href + ' ' + ${here} + ' ' + document.readyState`));
    });
  }

  eval(expression) {
    return this.#raw.evaluate(expression);
  }

  async until(expression) {
    await until(expression, () => this.eval(expression));
  }

  // The middle of an element, once it is there.
  async middle(selector) {
    const quoted = JSON.stringify(selector);
    await until(`${selector} is there`, () => this.eval(`!!document.querySelector(${quoted})`));
    return this.eval(`(() => {
      const element = document.querySelector(${quoted});
      element.scrollIntoView({ block: 'center', behavior: 'instant' });
      const { left, top, width, height } = element.getBoundingClientRect();
      return [left + width / 2, top + height / 2];
    })()`);
  }

  async hover(selector) {
    const [x, y] = await this.middle(selector);
    await this.#raw.mouse('move', 1, 1);
    await this.#raw.mouse('move', x, y);
  }

  // Points at nothing.
  async away() {
    await this.#raw.mouse('move', 1, 1);
  }

  async click(selector, how) {
    await this.clickAt(await this.middle(selector), how);
  }

  async clickAt([x, y], how = {}) {
    await this.#raw.mouse('move', x, y, how);
    await this.#raw.mouse('down', x, y, how);
    await this.#raw.mouse('up', x, y, how);
  }

  // Follows a link to a page.
  async follow(selector, path) {
    await this.click(selector);
    await this.shows(path);
  }

  // Returns once the page is there again that was there before.
  async back(path) {
    await this.#raw.history(-1);
    await this.shows(path);
  }

  async forward(path) {
    await this.#raw.history(1);
    await this.shows(path);
  }

  async reload({ hard = false } = {}) {
    await this.eval(`window.before = true`);
    await this.#raw.reload(hard);
    await until('the page is loaded again', () => this.eval(`!window.before && document.readyState === 'complete'`));
  }

  front() {
    return this.#raw.front();
  }

  close() {
    return this.#raw.close();
  }
}
