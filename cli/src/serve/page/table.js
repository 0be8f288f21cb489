// The input of a table model: a form for one row, or the JSON behind it.

import { Problem } from './api.js';
import { element } from './dom.js';
import { FeatureForm } from './form.js';
import { JsonEditor, jsonRequest } from './json.js';

export class TableField {
  constructor({ features, examples }, edited) {
    this.features = features;
    this.form = new FeatureForm(features, examples, edited);
    this.editor = new JsonEditor('Input as JSON: a row, or a list of rows', edited);
    this.problem = element('p', { className: 'problem', attributes: { role: 'alert' }, hidden: true });
    this.buttons = ['Form', 'JSON'].map((text) => {
      const button = element('button', { type: 'button' }, text);
      button.addEventListener('click', () => this.choose(text === 'JSON'));
      return button;
    });
    const toggle = element(
      'div', { className: 'toggle', attributes: { role: 'group', 'aria-label': 'Edit the input as' } }, ...this.buttons);
    this.element = element('div', { className: 'table' }, toggle, this.problem, this.form.element, this.editor.element);
    this.turn(false);
  }

  load(input) {
    if (this.isJson || !this.fits(input)) {
      this.editor.load(input);
      this.turn(true);
    } else {
      this.form.write(input);
    }
  }

  async request() {
    return this.isJson ? this.editor.request() : jsonRequest(this.form.read());
  }

  mark(problem) {
    return this.isJson ? this.editor.mark(problem) : this.form.mark(problem);
  }

  /** Changes between form and JSON, taking the values along; stays where the form can't hold them. */
  choose(json) {
    if (json === this.isJson) return;
    if (json) {
      this.editor.load(this.form.read());
      this.turn(true);
      return;
    }
    try {
      const row = this.editor.read();
      if (!this.fits(row)) {
        throw new Problem({ message: `The form holds one row of the ${this.features.length} features; this JSON is something else.` });
      }
      this.form.write(row);
      this.turn(false);
    } catch (problem) {
      this.problem.textContent = problem.message;
      this.problem.hidden = false;
    }
  }

  turn(json) {
    this.isJson = json;
    this.form.element.hidden = json;
    this.editor.element.hidden = !json;
    this.problem.hidden = true;
    this.buttons.forEach((button, index) => button.setAttribute('aria-pressed', String((index === 1) === json)));
  }

  fits(row) {
    if (row === null || typeof row !== 'object') return false;
    const values = Object.values(row);
    if (values.some((value) => value !== null && typeof value === 'object')) return false;
    if (Array.isArray(row)) return row.length === this.features.length;
    return Object.keys(row).every((name) => this.features.some((feature) => feature.name === name));
  }
}
