// A query and texts for a reranker, and the texts by how well they answer it.

import { Problem } from './api.js';
import { element } from './dom.js';
import { Lines } from './lines.js';
import { bars } from './result.js';
import { textBox } from './text.js';

const QUESTION = {
  query: 'How long does a transfer take?',
  texts: [
    'A transfer within the country arrives within one working day.',
    'You can change your PIN at any cash machine.',
    'Transfers abroad take three to five working days.',
    'Our branches close at noon on Saturdays.',
  ],
};

export class RankingField {
  action = 'Sort';
  examples = [{ title: 'A question and answers', input: QUESTION }];

  constructor(edited) {
    this.query = textBox('Query', 'query', 2);
    this.lines = new Lines('text', edited);
    this.problem = element('p', { className: 'problem', id: 'text-problem', hidden: true });
    this.element = element('div', { className: 'texts' }, this.query.label, this.problem, this.lines.element);
    this.query.box.addEventListener('input', () => this.lines.changed());
  }

  load({ query, texts }) {
    this.query.box.value = query;
    this.lines.load(texts);
    this.mark(null);
  }

  async request() {
    const query = this.query.box.value;
    this.sent = this.lines.read();
    if (!query.trim()) throw new Problem({ code: 'empty_input', message: 'Write a query to sort the texts by.' });
    if (!this.sent.length) throw new Problem({ code: 'empty_input', message: 'Write a text or more to sort.' });
    return { action: 'rerank', type: 'application/json', body: JSON.stringify({ query, texts: this.sent, truncate: true }) };
  }

  mark(problem) {
    this.problem.hidden = !problem;
    this.problem.textContent = problem?.message ?? '';
    const isQuery = Boolean(problem) && !this.query.box.value.trim();
    this.query.box.setAttribute('aria-invalid', String(isQuery));
    const line = this.lines.mark(isQuery ? null : problem);
    return isQuery ? this.query.box : line;
  }

  show(ranks) {
    const scores = ranks.map(({ index, score }) => [this.sent[index], score]);
    const [best] = scores[0];
    return {
      headline: best,
      parts: [element('p', { className: 'label long' }, element('strong', {}, best)), ...bars(scores, [best], 'texts')],
    };
  }
}
