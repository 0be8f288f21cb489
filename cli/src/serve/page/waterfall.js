// The cold start of a model as a waterfall: which step began when, and how long it took.

import { describeModel } from './api.js';
import { byId, element } from './dom.js';
import { milliseconds } from './result.js';

const NAMES = {
  exec: 'process starts',
  init: 'configuration, threads, socket',
  client: 'client of the store',
  pointer: 'pointer',
  first_byte: 'first byte of the package',
  download: 'package, first byte to last',
  decrypt: 'key, and decryption',
  digest: 'digest and manifest',
  graph: 'graph',
  plan: 'plan',
  tokenizer: 'tokenizer',
  first_run: 'first run',
};

/** Shows the cold start of a model, or nothing where it is not told. */
export function showColdStart(coldStart) {
  byId('cold-start').hidden = !coldStart;
  if (!coldStart) return;
  byId('cold-start-title').textContent = `Cold start: ${milliseconds(coldStart.total_ms)}`;
  byId('steps').replaceChildren(...withoutWait(coldStart.steps).map((step) => row(step, coldStart.total_ms)));
}

/** A model has answered: its cold start is over, and is asked for where it was not known yet. */
export async function learnColdStart(model, isShown) {
  if (model.cold_start) return;
  try {
    model.cold_start = (await describeModel(model.name)).body.cold_start;
  } catch {
    return; // The answer was what mattered; the next one asks again.
  }
  if (isShown()) showColdStart(model.cold_start);
}

/** The steps on a clock that stood still while nobody asked for the model. */
function withoutWait(steps) {
  const wait = steps.find(({ step }) => step === 'wait') ?? { start_ms: 0, took_ms: 0 };
  return steps.filter(({ step }) => step !== 'wait').map(({ step, start_ms: start, took_ms: took }) => (
    { step, took, start: start >= wait.start_ms + wait.took_ms ? start - wait.took_ms : start }));
}

function row({ step, start, took }, total) {
  const bar = element('span', { className: 'span', attributes: { 'aria-hidden': 'true' } });
  bar.style.setProperty('--start', start / total);
  bar.style.setProperty('--took', took / total);
  return element(
    'li', {},
    element('span', { className: 'name' }, NAMES[step] ?? step), bar,
    element('span', { className: 'value' }, milliseconds(took)));
}
