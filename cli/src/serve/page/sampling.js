// How the next token is chosen, and how many at most: settings that are left out of the request where they are empty.

import { Problem } from './api.js';
import { element } from './dom.js';

const SETTINGS = [
  { name: 'max_tokens', label: 'Max tokens', minimum: 1, step: 1, isWhole: true },
  { name: 'temperature', label: 'Temperature', minimum: 0, maximum: 2, step: 0.1 },
  { name: 'top_p', label: 'Top p', minimum: 0, maximum: 1, step: 0.05 },
  { name: 'seed', label: 'Seed', step: 1, isWhole: true, placeholder: 'random' },
];
/** What is asked for where nothing else was set. */
const MAX_TOKENS = 200;

export class Sampling {
  /** `defaults` are the model's own, by the names of the request; `edited` is told of every edit. */
  constructor(defaults, contextTokens, edited) {
    this.fields = SETTINGS.map((setting) => {
      const maximum = setting.name === 'max_tokens' ? contextTokens : setting.maximum;
      return new Setting({ ...setting, maximum, placeholder: setting.placeholder ?? shown(defaults[setting.name]) }, edited);
    });
    this.fields[0].box.value = String(Math.min(MAX_TOKENS, contextTokens ?? MAX_TOKENS));
    this.element = element(
      'details', { className: 'sampling' }, element('summary', {}, 'Settings'),
      element('div', { className: 'settings' }, ...this.fields.map((field) => field.element)),
    );
  }

  /** The settings that are filled in; a Problem for one that makes no sense. */
  read() {
    const wrong = this.fields.filter((field) => !field.check());
    if (wrong.length) {
      this.element.open = true;
      throw new Problem({ code: 'bad_setting', message: wrong.map((field) => field.problem.textContent).join(' ') });
    }
    const filled = this.fields.filter((field) => field.box.value.trim());
    return Object.fromEntries(filled.map((field) => [field.setting.name, Number(field.box.value)]));
  }

  /** The first setting that makes no sense. */
  wrong() {
    return this.fields.find((field) => !field.check())?.box ?? null;
  }
}

class Setting {
  constructor(setting, edited) {
    this.setting = setting;
    const { name, label, minimum, maximum, step, placeholder } = setting;
    const id = `setting-${name}`;
    this.problem = element('p', { className: 'problem', id: `${id}-problem`, hidden: true });
    this.box = element('input', {
      id, name, type: 'number', inputMode: setting.isWhole ? 'numeric' : 'decimal', autocomplete: 'off', placeholder: placeholder ?? '',
      attributes: { min: minimum, max: maximum, step, 'aria-describedby': this.problem.id },
    });
    this.box.addEventListener('input', () => {
      this.check();
      edited();
    });
    this.element = element('div', { className: 'field' }, element('label', { htmlFor: id }, label), this.box, this.problem);
  }

  /** Whether the value makes sense; marks it where it does not. */
  check() {
    const { label, minimum = -Infinity, maximum = Infinity, isWhole } = this.setting;
    const text = this.box.value.trim();
    const value = Number(text);
    const fits = value >= minimum && value <= maximum && (!isWhole || Number.isSafeInteger(value));
    const isGood = !this.box.validity.badInput && (text === '' || fits);
    this.problem.hidden = isGood;
    this.problem.textContent = isGood ? '' : `${label} must be ${wanted(this.setting)}.`;
    this.box.setAttribute('aria-invalid', String(!isGood));
    return isGood;
  }
}

function wanted({ minimum, maximum, isWhole }) {
  const kind = isWhole ? 'a whole number' : 'a number';
  if (minimum === undefined) return kind;
  return maximum === undefined ? `${kind} from ${minimum}` : `${kind} from ${minimum} to ${maximum}`;
}

/** A default in the place of a value: a number of 16 bits need not show all its digits. */
function shown(value) {
  return value === undefined || value === null ? 'default' : String(Number(value.toPrecision(4)));
}
