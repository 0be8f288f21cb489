// The input of a classifier of texts: one text, or a pair where an example is one.

import { Problem } from './api.js';
import { element } from './dom.js';

export class TextField {
  action = 'Classify';

  constructor({ text }, edited) {
    this.problem = element('p', { className: 'problem', id: 'text-problem', hidden: true });
    this.first = textBox('Text', 'text-first', 4);
    this.second = textBox('Second text', 'text-second', 3);
    this.second.label.hidden = true;
    const limit = element('p', { className: 'hint' }, `Up to ${text.max_tokens} tokens; what is beyond is cut off.`);
    this.element = element('div', { className: 'texts' }, this.first.label, this.second.label, this.problem, limit);
    for (const { box } of [this.first, this.second]) {
      box.addEventListener('input', () => {
        this.mark(null);
        edited({ complete: Boolean(box.value.trim()) });
      });
    }
  }

  load(input) {
    const { text, text_pair: pair } = typeof input === 'string' ? { text: input } : input;
    this.first.box.value = text;
    this.second.box.value = pair ?? '';
    this.second.label.hidden = pair === undefined;
    this.mark(null);
  }

  async request() {
    const text = this.first.box.value;
    if (!text.trim()) throw new Problem({ code: 'empty_input', message: 'Write a text to classify.' });
    const input = this.second.label.hidden ? text : { text, text_pair: this.second.box.value };
    return { action: 'classify', type: 'application/json', body: JSON.stringify({ input, all: true }) };
  }

  mark(problem) {
    this.problem.hidden = !problem;
    this.problem.textContent = problem?.message ?? '';
    this.first.box.setAttribute('aria-invalid', String(Boolean(problem)));
    return problem ? this.first.box : null;
  }
}

/** A box for a text of a few lines, in its label. */
export function textBox(name, id, rows) {
  const box = element('textarea', { id, rows, attributes: { 'aria-describedby': 'text-problem' } });
  return { box, label: element('label', { htmlFor: id }, element('span', {}, name), box) };
}
