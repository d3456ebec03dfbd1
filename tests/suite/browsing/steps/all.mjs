import { steps as ahead } from './ahead.mjs';
import { steps as documents } from './documents.mjs';
import { steps as files } from './files.mjs';
import { steps as htmx } from './htmx.mjs';
import { steps as inertia } from './inertia.mjs';
import { steps as returns } from './returns.mjs';
import { steps as scripts } from './scripts.mjs';
import { steps as swaps } from './swaps.mjs';
import { steps as turbo } from './turbo.mjs';
import { steps as unpoly } from './unpoly.mjs';
import { steps as ways } from './ways.mjs';
import { steps as workers } from './workers.mjs';

export const steps = [
  ...documents,
  ...ways,
  ...returns,
  ...files,
  ...scripts,
  ...ahead,
  ...workers,
  ...turbo,
  ...htmx,
  ...inertia,
  ...unpoly,
  ...swaps,
];

// What browsers do each in its own way. The rest is mostly asked for by scripts, which ask alike in all of them.
export const brief = [
  ...documents.slice(0, 3),
  ...returns,
  ...files,
  ...ahead,
  ...workers,
  ...[turbo, htmx, inertia, unpoly, swaps].map(([first]) => first),
];
