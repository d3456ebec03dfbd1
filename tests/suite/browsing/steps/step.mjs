// A step is a name, the pages it browses, and what a person does there.
//
// `pages` has them by their path under the step's own; a page that is not named is a plain one. Its value, or what its
// function gives, has the parts of `Site.page` or a whole answer: `status`, `type`, `headers`, `text`.
// `beyond` says what a server cannot see of the step: by reason, the paths of the views that only the tracker counts
// (`missed`), and of those that only a server takes for views (`invented`). `alias` has pages that the tracker counts
// under another address than the one that is shown in the end.

export const step = (id, run, { pages, beyond, alias, where } = {}) => ({ id, run, pages, beyond, alias, where });

// What no request tells of: pages that take the place of the one before in the history, which the tracker does not count,
// and pages that were fetched ahead and ask for nothing when they are shown. Errors that a script shows as pages a server
// can see; gatecount leaves them out as it leaves out all errors, and the tracker counts them.
export const replaced = (...paths) => ({ 'pages that replace the one before in the history': { invented: paths } });
export const errors = (...paths) => ({ 'errors that a script shows as pages': { missed: paths } });
export const silent = (...paths) => ({ 'pages fetched ahead that ask for nothing when they are shown': { missed: paths } });

// Where service workers, speculation rules and `Sec-Fetch-*` are.
export const secure = ({ secure }) => secure;
export const plain = ({ secure }) => !secure;
export const chromium = ({ browser }) => browser === 'chromium';
// A link fetches ahead as people have it in Chromium, and as a driven WebKit is told to.
export const prefetches = ({ browser }) => browser !== 'firefox';
// What WebKit opens in the background is out of its driver's reach, and what a driven one keeps of pages and their parts
// is a matter of moments.
export const notWebkit = ({ browser }) => browser !== 'webkit';
export const both = (...conditions) => (mode) => conditions.every((condition) => condition(mode));

export const link = (to, text = to, id = 'go', more = '') => `<a id="${id}" href="${to}" ${more}>${text}</a> `;

// What a person does in page `a` once it has been counted; `ready` waits for what has to be there first.
export const inPage = (doing, ready = async () => {}) => async (tab, visit) => {
  await tab.open('a');
  await ready(tab);
  await visit.counted('a');
  await doing(tab, visit);
};

// A person goes on to page `b`.
export const toNext = (then = async () => {}) => async (tab, visit) => {
  await tab.follow('#go', 'b');
  await visit.counted('b');
  await then(tab, visit);
};

// A script of a library that npm installed.
export const script = (module, more = '') => `<script src="/_/modules/${module}" ${more}></script>`;
