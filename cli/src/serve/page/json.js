// The JSON editor: for tensors, and for tables whose rows are rather written than filled in.

import { Problem } from './api.js';
import { element } from './dom.js';

export class JsonEditor {
  constructor(label, edited) {
    this.text = element('textarea', {
      className: 'json',
      spellcheck: false,
      attributes: { 'aria-label': label, 'aria-describedby': 'json-problem', autocapitalize: 'off', autocomplete: 'off' },
    });
    this.problem = element('p', { className: 'problem', id: 'json-problem', hidden: true });
    this.element = element('div', {}, this.text, this.problem);
    this.text.addEventListener('input', () => {
      this.mark(null);
      edited({ complete: this.isJson() });
    });
  }

  load(value) {
    this.text.value = format(value);
    this.text.rows = Math.min(22, this.text.value.split('\n').length + 1);
    this.mark(null);
  }

  isJson() {
    try {
      JSON.parse(this.text.value);
      return true;
    } catch {
      return false;
    }
  }

  /** The value in the editor; a Problem for a text that is no JSON. */
  read() {
    try {
      return JSON.parse(this.text.value);
    } catch (error) {
      throw new Problem({ code: 'malformed_json', message: `The input is not valid JSON: ${error.message}.` });
    }
  }

  async request() {
    return jsonRequest(this.read());
  }

  mark(problem) {
    this.problem.hidden = !problem;
    this.problem.textContent = problem?.message ?? '';
    this.text.setAttribute('aria-invalid', String(Boolean(problem)));
    return problem ? this.text : null;
  }
}

export function jsonRequest(input) {
  return { type: 'application/json', body: JSON.stringify({ input }) };
}

/** Zeros in the shape of a model's inputs; a dimension that varies is one long. */
export function zeros(inputs) {
  const filled = inputs.map((input) => [input.name, nested(input.shape, zero(input.dtype))]);
  return filled.length === 1 ? filled[0][1] : Object.fromEntries(filled);
}

function zero(dtype) {
  return dtype === 'BOOL' ? false : dtype === 'BYTES' ? '' : 0;
}

function nested([length, ...rest], value) {
  if (length === undefined) return value;
  const count = typeof length === 'number' ? length : 1;
  return Array.from({ length: count }, () => nested(rest, value));
}

/** JSON with a list of plain values on one line. */
export function format(value, indent = '') {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((entry) => entry === null || typeof entry !== 'object')) {
      return `[${value.map((entry) => JSON.stringify(entry)).join(', ')}]`;
    }
    return `[\n${value.map((entry) => inner + format(entry, inner)).join(',\n')}\n${indent}]`;
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? '';
  const entries = Object.entries(value);
  if (!entries.length) return '{}';
  return `{\n${entries.map(([name, entry]) => `${inner}${JSON.stringify(name)}: ${format(entry, inner)}`).join(',\n')}\n${indent}}`;
}
