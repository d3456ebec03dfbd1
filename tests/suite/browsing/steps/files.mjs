// Files, and parts of pages.

import { link, step } from './step.mjs';
import { DOT } from '../driver/site.mjs';

const opened = (id, type, text, headers = {}) =>
  step(
    `opened-${id}`,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.click('#go');
      await visit.asked(`file.${id}`);
      await visit.until('it is shown', () => tab.eval(`location.pathname.includes('file') && document.readyState === 'complete'`));
    },
    { pages: { a: { body: link(`file.${id}`) }, [`file.${id}`]: { type, text, headers } } },
  );

const saved = (id, more, answer, path = `file.${id}`, beyond = undefined) =>
  step(
    `saved-${id}`,
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
      await tab.click('#go');
      await visit.asked(path);
    },
    { pages: { a: { body: link(path, 'file', 'go', more) }, [path]: answer }, beyond },
  );

export const steps = [
  opened('png', 'image/png', DOT),
  opened('svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
  opened('json', 'application/json', '{"a": 1}'),
  opened('xml', 'application/xml', '<a><b/></a>'),
  opened('txt', 'text/plain; charset=utf-8', 'words'),
  opened('css', 'text/css', 'a {}'),
  saved('zip', '', { type: 'application/zip', text: 'PK' }),
  saved('html', '', { headers: { 'content-disposition': 'attachment; filename="page.html"' } }),
  // Firefox asks for it as for a page.
  saved('by-a-link', 'download', { tracker: false }, 'report', ({ browser }) =>
    browser === 'firefox' ? { 'pages that Firefox saves by a link with download': { invented: ['report'] } } : {},
  ),
  saved('csv', 'download="data.csv"', { type: 'text/csv', text: 'a,b' }),
  step(
    'images-of-a-page',
    async (tab, visit) => {
      await tab.open('a');
      await visit.counted('a');
    },
    {
      pages: {
        a: { body: '<img src="one.png" alt=""><img src="missing.png" alt=""><video src="film.webm" preload="auto"></video>' },
        'one.png': { type: 'image/png', text: DOT },
        // A host that answers everything with its page.
        'missing.png': { tracker: false },
        'film.webm': {
          status: 206,
          type: 'video/webm',
          headers: { 'content-range': 'bytes 0-9/10', 'accept-ranges': 'bytes' },
          text: '0123456789',
        },
      },
    },
  ),
];
