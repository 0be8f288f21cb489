// Sentences for a model that makes vectors of them, and how alike they are: a table of cosines.

import { Problem } from './api.js';
import { element } from './dom.js';
import { Lines } from './lines.js';

const SENTENCES = [
  'How do I reset my password?',
  'I forgot my login details.',
  'The parcel has not arrived yet.',
  'Where is my delivery?',
  'The weather is lovely today.',
];

export class SentencesField {
  action = 'Compare';
  examples = [{ title: 'Five sentences', input: SENTENCES }];

  constructor(edited) {
    this.lines = new Lines('sentence', edited);
    this.element = this.lines.element;
  }

  load(input) {
    this.lines.load([input].flat());
  }

  async request() {
    this.sent = this.lines.read();
    if (this.sent.length < 2) {
      throw new Problem({ code: 'empty_input', message: 'Write two sentences or more to compare.' });
    }
    return { action: 'v1/embeddings', type: 'application/json', body: JSON.stringify({ input: this.sent }) };
  }

  mark(problem) {
    return this.lines.mark(problem);
  }

  /** The pair that is most alike, and the table. */
  show({ data }) {
    const vectors = data.map(({ embedding }) => embedding);
    const cosines = vectors.map((one) => vectors.map((other) => cosine(one, other)));
    const pairs = cosines.flatMap((row, left) => row.slice(left + 1).map((value, gap) => [value, left, left + gap + 1]));
    const [best, left, right] = pairs.reduce((most, pair) => (pair[0] > most[0] ? pair : most));
    const headline = `${left + 1} and ${right + 1}`;
    return {
      headline: `Most alike: ${headline}, ${digits(best)}`,
      parts: [
        element('p', { className: 'label' }, element('strong', {}, headline), element('span', {}, `most alike, ${digits(best)}`)),
        element('div', { className: 'matrix', tabIndex: 0 }, table(this.sent, cosines)),
      ],
    };
  }
}

function table(sentences, cosines) {
  const head = sentences.map((sentence, index) => element('th', { scope: 'col', title: sentence }, `${index + 1}`));
  const rows = cosines.map((row, left) => element(
    'tr', {},
    element('th', { scope: 'row' }, `${left + 1}`, element('span', {}, ` ${sentences[left]}`)),
    ...row.map((value, right) => {
      const cell = element('td', { className: left === right ? 'same' : '' }, digits(value));
      cell.style.setProperty('--share', Math.min(1, Math.max(0, value)));
      return cell;
    }),
  ));
  return element(
    'table', {},
    element('caption', {}, 'Cosine similarity'),
    element('thead', {}, element('tr', {}, element('td', {}), ...head)),
    element('tbody', {}, ...rows),
  );
}

/** Two digits, and no zero below zero. */
const digits = (value) => (Math.abs(value) < 0.005 ? 0 : value).toFixed(2);

function cosine(one, other) {
  const product = (left, right) => left.reduce((sum, value, index) => sum + value * right[index], 0);
  return product(one, other) / Math.sqrt(product(one, one) * product(other, other));
}
