// A form made from a model's features: one field each, in groups that share a word.

import { element } from './dom.js';

/** How many features must share a word to be a group. */
const GROUP = 3;

export class FeatureForm {
  constructor(features, examples, edited) {
    this.fields = features.map((feature, index) => new Field(feature, index, isWhole(feature, examples), () => {
      edited({ complete: this.fields.every((field) => field.isComplete()) });
    }));
    const groups = group(features);
    this.element = element('div', { className: groups.length > 1 ? 'groups' : 'groups single' }, ...groups.map(
      ({ title, members }) => element(
        'fieldset',
        { className: features.some((feature) => hasChoices(feature)) ? 'group wide' : 'group' },
        element('legend', { className: title ? '' : 'unseen' }, title || 'Features'),
        ...members.map((index) => this.fields[index].make(title)),
      ),
    ));
  }

  /** The row as an object by feature name; a field left empty is left out, so that the server names it. */
  read() {
    const filled = this.fields.map((field) => [field.feature.name, field.read()]);
    return Object.fromEntries(filled.filter(([, value]) => value !== undefined));
  }

  /** Fills the fields with a row, a list or an object. */
  write(row) {
    this.fields.forEach((field, index) => field.write(Array.isArray(row) ? row[index] : row[field.feature.name]));
    this.mark(null);
  }

  /** Shows a problem at the fields it names; answers the first of them. */
  mark(problem) {
    const named = (field) => problem?.message.includes(JSON.stringify(field.feature.name));
    const marked = this.fields.filter((field) => {
      field.mark(named(field) ? inWords(problem) : '');
      return named(field);
    });
    return marked[0]?.control ?? null;
  }
}

function inWords({ code, expected, got, message }) {
  if (code === 'missing_feature') return 'A value is missing here.';
  return expected && got ? `Expected ${expected}; got ${got}.` : message;
}

/** One feature's control, with a slider where its range is known. */
class Field {
  constructor(feature, index, whole, edited) {
    Object.assign(this, { feature, whole, id: `feature-${index}`, edited });
  }

  make(groupTitle) {
    const { name, unit, minimum, maximum } = this.feature;
    this.control = this.makeControl();
    this.slider = this.isNumber() && isRange(minimum, maximum) ? this.makeSlider() : null;
    this.problem = element('p', { className: 'problem', id: `${this.id}-problem`, hidden: true });
    this.range = this.slider ? element('span', { className: 'unseen', id: `${this.id}-range` }, `${minimum} to ${maximum}`) : null;
    this.control.setAttribute('aria-describedby', [this.range, this.problem].filter(Boolean).map(({ id }) => id).join(' '));
    this.control.addEventListener('input', () => {
      this.isNull = false;
      this.control.placeholder = '';
      this.follow();
      this.mark('');
      this.edited();
    });
    const label = element('label', { htmlFor: this.id, title: name }, ...labelParts(name, groupTitle));
    if (unit && words(name).at(-1) !== unit) label.append(element('span', { className: 'unit' }, ` ${unit}`));
    return element('div', { className: 'field' }, label, this.control, this.slider, this.range, this.problem);
  }

  makeControl() {
    const attributes = {};
    const { name, dtype, minimum, maximum } = this.feature;
    const choices = dtype === 'BOOL' ? { true: 'yes', false: 'no' } : this.feature.choices ?? {};
    if (Object.keys(choices).length) {
      const options = Object.entries(choices).map(([value, meaning]) => element(
        'option', { value }, meaning && meaning !== value ? `${meaning} (${value})` : value));
      return element('select', { id: this.id, name, attributes }, element('option', { value: '' }, '—'), ...options);
    }
    if (!this.isNumber()) return element('input', { id: this.id, name, type: 'text', attributes });
    Object.assign(attributes, { min: minimum, max: maximum, step: 'any' });
    return element('input', { id: this.id, name, type: 'number', inputMode: 'decimal', autocomplete: 'off', attributes });
  }

  /** The slider is the mouse's and the finger's: the keyboard has the number field. */
  makeSlider() {
    const { minimum, maximum } = this.feature;
    const slider = element('input', {
      type: 'range', tabIndex: -1, title: `${minimum} to ${maximum}`,
      attributes: { 'aria-hidden': 'true', min: minimum, max: maximum, step: 'any' },
    });
    slider.addEventListener('input', () => {
      const value = Number(slider.value);
      this.control.value = this.whole ? Math.round(value) : Number(value.toPrecision(4));
      this.isNull = false;
      this.follow();
      this.mark('');
      this.edited();
    });
    return slider;
  }

  isNumber() {
    return !['BYTES', 'BOOL'].includes(this.feature.dtype) && !hasChoices(this.feature);
  }

  isComplete() {
    return this.isNull || this.control.value !== '';
  }

  read() {
    if (this.isNull) return null;
    const { value } = this.control;
    if (value === '') return undefined;
    if (this.feature.dtype === 'BYTES') return value;
    return this.feature.dtype === 'BOOL' ? value === 'true' : Number(value);
  }

  write(value) {
    this.isNull = value === null;
    this.control.placeholder = this.isNull ? 'null' : '';
    this.control.value = value ?? '';
    this.follow();
  }

  /** Moves the slider to the number, and fills its track up to there. */
  follow() {
    if (!this.slider) return;
    const { minimum, maximum } = this.feature;
    const value = Number(this.control.value);
    this.slider.value = value;
    const share = Math.min(1, Math.max(0, (value - minimum) / (maximum - minimum)));
    this.slider.style.setProperty('--share', share);
    const isUnusual = this.control.value !== '' && (value < minimum || value > maximum);
    this.control.classList.toggle('unusual', isUnusual);
    this.control.title = isUnusual ? `Outside ${minimum} to ${maximum}` : '';
  }

  mark(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
    this.control.setAttribute('aria-invalid', String(Boolean(text)));
  }
}

const hasChoices = (feature) => Object.keys(feature.choices ?? {}).length > 0;
const isRange = (minimum, maximum) => typeof minimum === 'number' && typeof maximum === 'number' && minimum < maximum;
const words = (name) => name.split(/[\s_]+/);

/** Whether a feature only ever holds whole numbers, as far as the range and the examples tell. */
function isWhole({ name, dtype, minimum, maximum }, examples) {
  if (dtype?.includes('INT')) return true;
  const known = [minimum, maximum, ...examples.map(({ input }) => input?.[name])];
  return known.every((value) => Number.isInteger(value));
}

/** The features' indices by a word they share, first or last in their names; one group without a title where few do. */
function group(features) {
  const titleBy = (pick, taken) => {
    const counts = new Map();
    features.forEach(({ name }, index) => {
      if (!taken[index]) counts.set(pick(words(name)), (counts.get(pick(words(name))) ?? 0) + 1);
    });
    return features.map(({ name }, index) => {
      const word = pick(words(name));
      return taken[index] ?? (words(name).length > 1 && counts.get(word) >= GROUP ? word : undefined);
    });
  };
  const titles = titleBy((parts) => parts.at(-1), titleBy((parts) => parts[0], []));
  if (titles.filter(Boolean).length < features.length / 2) return [{ title: '', members: [...features.keys()] }];
  const members = Map.groupBy([...features.keys()], (index) => titles[index] ?? '');
  return [...members].map(([title, indices]) => ({ title, members: indices }));
}

/** A feature's name, with the word that its group's title says already left to screen readers. */
function labelParts(name, groupTitle) {
  const hidden = (text) => element('span', { className: 'unseen' }, text);
  const parts = words(name);
  if (groupTitle && parts.length > 1 && parts[0] === groupTitle) {
    return [hidden(`${groupTitle} `), parts.slice(1).join(' ')];
  }
  if (groupTitle && parts.length > 1 && parts.at(-1) === groupTitle) {
    return [parts.slice(0, -1).join(' '), hidden(` ${groupTitle}`)];
  }
  return [parts.join(' ')];
}
