// A list of short texts, a line each, that grows and shrinks.

import { element } from './dom.js';

/** More lines than this make no table that can be read. */
const MOST = 12;

export class Lines {
  constructor(what, edited) {
    Object.assign(this, { what, edited });
    this.list = element('ol', { className: 'lines' });
    this.adding = element('button', { type: 'button' }, `Add a ${what}`);
    this.adding.addEventListener('click', () => this.add('').focus());
    this.element = element('div', {}, this.list, this.adding);
  }

  load(texts) {
    this.list.replaceChildren();
    for (const text of texts) this.add(text);
  }

  /** Every line, the empty ones too. */
  boxes() {
    return [...this.list.querySelectorAll('input')];
  }

  /** The texts of the lines that are not empty. */
  read() {
    return this.boxes().map((box) => box.value).filter((text) => text.trim());
  }

  /** Marks the first empty line, else the first of all, where there is a problem; answers it. */
  mark(problem) {
    for (const box of this.boxes()) box.setAttribute('aria-invalid', 'false');
    if (!problem) return null;
    const marked = this.boxes().find((box) => !box.value.trim()) ?? this.boxes()[0];
    marked?.setAttribute('aria-invalid', 'true');
    return marked ?? this.adding;
  }

  add(text) {
    const box = element('input', { type: 'text', value: text, autocomplete: 'off' });
    const remove = element('button', { type: 'button', className: 'quiet' }, '×');
    const line = element('li', {}, box, remove);
    box.addEventListener('input', () => this.changed());
    remove.addEventListener('click', () => this.remove(line));
    this.list.append(line);
    this.number();
    return box;
  }

  remove(line) {
    const after = line.nextElementSibling ?? line.previousElementSibling;
    line.remove();
    this.number();
    (after?.querySelector('input') ?? this.adding).focus();
    this.changed();
  }

  changed() {
    this.mark(null);
    this.edited({ complete: this.read().length > 0 });
  }

  number() {
    [...this.list.children].forEach((line, index) => {
      line.querySelector('input').setAttribute('aria-label', `${this.what} ${index + 1}`);
      line.querySelector('button').setAttribute('aria-label', `Remove ${this.what} ${index + 1}`);
    });
    this.adding.hidden = this.list.children.length >= MOST;
  }
}
