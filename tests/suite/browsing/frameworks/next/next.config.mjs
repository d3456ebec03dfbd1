import { dirname } from 'node:path';

const root = dirname(import.meta.dirname);

export default { turbopack: { root }, outputFileTracingRoot: root };
