// A text that the model goes on with: the box for its beginning, and what was made of it.

import { Problem } from './api.js';
import { element } from './dom.js';

export class CompletionView {
  action = 'Continue';

  constructor({ edited }) {
    this.box = element('textarea', { id: 'prompt', rows: 6, attributes: { 'aria-describedby': 'prompt-problem' } });
    this.problem = element('p', { className: 'problem', id: 'prompt-problem', hidden: true });
    this.box.addEventListener('input', () => {
      this.mark(null);
      edited();
    });
    const label = element('label', { htmlFor: 'prompt' }, element('span', {}, 'Beginning of the text'), this.box);
    this.element = element('div', { className: 'texts' }, label, this.problem);
    this.prompt = element('span', { className: 'prompt' });
    this.made = element('span');
    this.text = element('p', { className: 'made' }, this.prompt, this.made);
    this.further = element('button', { type: 'button' }, 'Go on from here');
    this.further.addEventListener('click', () => {
      this.box.value = this.text.textContent;
      this.mark(null);
      edited();
      this.box.focus();
      this.box.scrollTop = this.box.scrollHeight;
    });
    this.result = element('div', { className: 'continued' }, this.text, this.further);
  }

  load(input) {
    this.box.value = typeof input === 'string' ? input : input.prompt;
    this.mark(null);
  }

  read() {
    const prompt = this.box.value;
    if (!prompt.trim()) throw new Problem({ code: 'empty_input', message: 'Write the beginning of a text first.' });
    return { action: 'v1/completions', input: { prompt } };
  }

  begin() {
    this.prompt.textContent = this.box.value;
    this.made.textContent = '';
    this.text.classList.add('growing');
    this.further.hidden = true;
  }

  take({ choices }) {
    const piece = choices?.[0]?.text ?? '';
    this.made.append(piece);
    return piece;
  }

  end() {
    this.text.classList.remove('growing');
    const text = this.made.textContent;
    this.further.hidden = !text;
    return text;
  }

  mark(problem) {
    this.problem.hidden = !problem;
    this.problem.textContent = problem?.message ?? '';
    this.box.setAttribute('aria-invalid', String(Boolean(problem)));
    return problem ? this.box : null;
  }
}
