// What came back: the label, scores as bars, raw outputs, times; or a problem in words.

import { byId, element, pairs } from './dom.js';
import { format } from './json.js';

/** How many classes or rows are shown before the rest is folded away. */
const SHOWN = 10;
/** How many round trips the small chart remembers. */
const REMEMBERED = 40;

/** Shows what was made of an answer, its parts and a headline, and the answer itself. */
export function showAnswer({ parts, headline: short }, body) {
  const raw = element('pre', { tabIndex: 0 }, format(body));
  const wasOpen = byId('answer').querySelector('details.raw')?.open ?? false;
  const details = element('details', { className: 'raw', open: wasOpen }, element('summary', {}, 'Raw answer'), raw);
  byId('answer').replaceChildren(...parts, details);
  announce(short);
}

/** The parts and the headline of a prediction, or of several. */
export function prediction(body, labels) {
  if (body.predictions) return { parts: rows(body.predictions), headline: `${body.predictions.length} predictions` };
  return { parts: one(body, labels), headline: headline(body) };
}

export function showProblem(problem) {
  const details = pairs([['Expected', problem.expected], ['Got', problem.got]]);
  byId('answer').replaceChildren(element(
    'div', { className: 'failure' },
    element('h3', {}, problem.title ?? 'Something went wrong'),
    element('p', {}, sentence(problem.message)),
    details.length ? element('dl', { className: 'facts' }, ...details) : null,
  ));
  byId('timing').replaceChildren();
  announce(problem.title ?? 'Something went wrong', problem.message);
}

/** Before the first prediction of a model. */
export function showNothing() {
  byId('answer').replaceChildren(element('p', { className: 'hint' }, 'The answer will be here.'));
  byId('timing').replaceChildren();
  byId('glimpse').hidden = true;
}

/** Shows the times of a request; `cold` is how long the package took to load, on the first request after that. */
export function showTimes(times, roundTrips, cold) {
  const facts = element('dl', { className: 'times' }, ...pairs([
    ['Round trip', milliseconds(times.roundTrip)],
    ['Model run', times.run === undefined ? null : milliseconds(times.run)],
    ['Load', times.load === undefined ? null : milliseconds(times.load)],
  ]));
  byId('timing').replaceChildren(facts);
  if (cold !== null) {
    byId('timing').append(element('p', { className: 'trend cold' }, `Cold: the package took ${milliseconds(cold)} to load.`));
  } else if (roundTrips.length > 1) {
    const note = `Median of ${roundTrips.length}: ${milliseconds(median(roundTrips))}`;
    byId('timing').append(element('p', { className: 'trend' }, chart(roundTrips.slice(-REMEMBERED)), note));
  }
}

function one(body, labels) {
  const scores = inOrder(body.probabilities ?? {}, labels);
  const best = body.probabilities?.[body.predicted_label];
  const winners = body.predicted_labels ?? [body.predicted_label].filter((label) => label !== undefined);
  const parts = [];
  if (winners.length || body.predicted_labels) {
    parts.push(element(
      'p', { className: 'label' },
      element('strong', {}, winners.join(', ') || 'no label'),
      best === undefined ? null : element('span', {}, percent(best)),
    ));
  }
  if (scores.length) parts.push(...bars(scores, winners, 'classes'));
  else if (!winners.length) parts.push(values(body.values ?? body.outputs ?? {}));
  return parts;
}

/** Scores in the order of the labels: JSON objects put names that are numbers first. Many classes: highest first. */
function inOrder(probabilities, labels) {
  const names = labels.length ? labels.filter((label) => label in probabilities) : Object.keys(probabilities);
  const scores = names.map((name) => [name, probabilities[name]]);
  return scores.length > SHOWN ? scores.sort(([, one], [, other]) => other - one) : scores;
}

/** Scores from 0 to 1 (pairs of a name and its score) as bars, the winners marked; `what` they are many of. */
export function bars(scores, winners, what) {
  const list = (some) => element('ul', { className: 'bars' }, ...some.map(([name, value]) => {
    const bar = element('span', { className: 'bar', attributes: { 'aria-hidden': 'true' } });
    bar.style.setProperty('--share', Math.min(1, Math.max(0, value)));
    return element(
      'li', { className: winners.includes(name) ? 'winner' : '' },
      element('span', { className: 'name' }, name), bar, element('span', { className: 'value' }, percent(value)));
  }));
  return folded(scores, list, what);
}

function rows(predictions) {
  const entries = predictions.map((prediction, index) => [index, prediction]);
  const list = (some) => element('ol', { className: 'rows', start: some[0]?.[0] ?? 0 }, ...some.map(
    ([, prediction]) => element('li', {}, headline(prediction) || JSON.stringify(prediction.outputs))));
  return [element('p', { className: 'label' }, element('strong', {}, `${predictions.length} rows`)), ...folded(entries, list, 'rows')];
}

function folded(entries, list, what) {
  const rest = entries.slice(SHOWN);
  const parts = [list(entries.slice(0, SHOWN))];
  if (rest.length) parts.push(element('details', {}, element('summary', {}, `${rest.length} more ${what}`), list(rest)));
  return parts;
}

/** Outputs of a model without classes: small ones as they are. */
function values(outputs) {
  const texts = Object.entries(outputs).map(([name, value]) => {
    const text = JSON.stringify(value);
    return [name, text.length > 200 ? `${text.slice(0, 200)}…` : text];
  });
  return element('dl', { className: 'values' }, ...pairs(texts));
}

function headline({ predicted_label: label, predicted_labels: labels, probabilities }) {
  if (labels) return labels.join(', ') || 'no label';
  if (label === undefined) return '';
  const best = probabilities?.[label];
  return best === undefined ? label : `${label}, ${percent(best)}`;
}

/** Says the result to screen readers, and beside the button on a phone. */
export function announce(short, long = '') {
  byId('announcement').textContent = [short || 'The outputs are shown', long].filter(Boolean).join('. ');
  byId('glimpse').hidden = false;
  byId('glimpse').textContent = short || 'Result';
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

function percent(share) {
  const rounded = (share * 100).toFixed(2);
  if (share > 0 && rounded === '0.00') return '<\u00a00.01\u00a0%';
  if (share < 1 && rounded === '100.00') return '>\u00a099.99\u00a0%';
  return `${rounded}\u00a0%`;
}

export function milliseconds(value) {
  return `${value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2)} ms`;
}

function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The last round trips as a row of columns, the newest on the right. */
function chart(roundTrips) {
  const highest = Math.max(...roundTrips);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${REMEMBERED * 3} 20`);
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(svg.namespaceURI, 'path');
  const first = REMEMBERED - roundTrips.length;
  path.setAttribute('d', roundTrips.map((time, index) => {
    const height = Math.max(1, (time / highest) * 20);
    return `M${(first + index) * 3} 20v${-height}h2v${height}z`;
  }).join(''));
  svg.append(path);
  return svg;
}
