// The page: pick a model, give it an input, see what it answers.

import { describeModel, listModels, predict, Problem } from './api.js';
import { hideCurl, showCurl, startCopying } from './curl.js';
import { byId, element, pairs } from './dom.js';
import { GenerateField } from './generate.js';
import { JsonEditor, zeros } from './json.js';
import { PictureField } from './picture.js';
import { RankingField } from './ranking.js';
import { prediction, showAnswer, showNothing, showProblem, showTimes } from './result.js';
import { SentencesField } from './sentences.js';
import { TableField } from './table.js';
import { TextField } from './text.js';
import { learnColdStart, showColdStart } from './waterfall.js';

/** More models than this are picked from a list that opens. */
const LINKS = 6;
/** How long typing may pause before the input is predicted, in milliseconds. */
const PAUSE = 250;

/** The model on the page: its description, its input field, its round trips, and how long it took to load if it was cold. */
let current = null;
let known = [];

start();

async function start() {
  startCopying();
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  byId('shortcut').textContent = isMac ? '⌘ ⏎' : 'Ctrl ⏎';
  byId('form').addEventListener('submit', (event) => {
    event.preventDefault();
    run({ asked: true });
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run({ asked: true });
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !event.isComposing) current?.field?.stop?.();
  });
  byId('stop').addEventListener('click', () => current?.field?.stop?.());
  byId('glimpse').addEventListener('click', () => byId('result-title').focus());
  window.addEventListener('popstate', () => show(chosen()));
  await list();
}

/** Lists the models and shows the one that the address names, else the default, else the first. */
async function list() {
  try {
    known = await listModels();
  } catch (problem) {
    notice(problem.title, problem.message, retry(list));
    return;
  }
  if (!known.length) {
    notice(
      'There is no model here yet',
      'Serve a model file, a package or a store:',
      element('pre', {}, 'emberlite serve model.onnx'),
      element('p', {}, 'Or put one into the store that this server reads, then look again:'),
      element('pre', {}, 'emberlite pack model.onnx -o model.ember\nemberlite push model.ember --store URL'),
      retry(list),
    );
    return;
  }
  offer();
  await show(chosen());
}

function chosen() {
  const asked = new URLSearchParams(location.search).get('model');
  return (known.find(({ name }) => name === asked) ?? known.find((model) => model.default) ?? known[0]).name;
}

/** Offers the models as links, or in a list where they are many. */
function offer() {
  const names = known.map(({ name }) => name);
  if (names.length > LINKS) {
    const options = names.map((name) => element('option', { value: name }, name));
    const select = element('select', { attributes: { 'aria-label': 'Model' } }, ...options);
    select.addEventListener('change', () => pick(select.value));
    byId('models').replaceChildren(select);
    return;
  }
  byId('models').replaceChildren(...names.map((name) => {
    const link = element('a', { href: `?model=${encodeURIComponent(name)}` }, name);
    link.addEventListener('click', (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      pick(name);
    });
    return link;
  }));
}

function pick(name) {
  if (name !== chosen() || !current) history.pushState(null, '', `?model=${encodeURIComponent(name)}`);
  show(name);
}

async function show(name) {
  markPicked(name);
  current?.field?.leave?.();
  const opened = { name };
  current = opened;
  let described;
  try {
    described = await describeModel(name);
  } catch (problem) {
    if (current !== opened) return;
    notice(problem.title, problem.message, retry(() => show(name)));
    return;
  }
  if (current !== opened) return;
  const listed = known.find((model) => model.name === name);
  const model = described.body;
  Object.assign(opened, { model, roundTrips: [], cold: listed.loaded ? null : described.times.roundTrip });
  listed.loaded = true;
  opened.field = makeField(model, (edit) => current === opened && edited(edit), () => answered(opened));
  document.title = `${name} · Emberlite`;
  byId('notice').hidden = true;
  byId('model').hidden = false;
  about(model);
  byId('field').replaceChildren(opened.field.element);
  showNothing();
  hideCurl();
  byId('predict').textContent = opened.field.action ?? 'Predict';
  offerExamples(model.examples.length ? model.examples : opened.field.examples ?? []);
}

function markPicked(name) {
  for (const link of byId('models').querySelectorAll('a')) {
    if (link.textContent === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const select = byId('models').querySelector('select');
  if (select) select.value = name;
}

function about(model) {
  byId('name').textContent = model.name;
  byId('description').textContent = model.description;
  const digest = element('code', { title: model.digest }, model.digest.slice(0, 12));
  byId('facts').replaceChildren(...pairs([
    ['Inputs', tensors(model.inputs)],
    ['Outputs', tensors(model.outputs)],
    ['Labels', model.text && model.labels.length ? String(model.labels.length) : null],
    ['Texts', model.text && `up to ${model.text.max_tokens} tokens`],
    ['Context', model.generate && `${model.generate.context_tokens} tokens`],
    ['Vocabulary', model.generate?.vocabulary && `${model.generate.vocabulary} tokens`],
    ['Perplexity', model.generate?.perplexity && perplexity(model.generate.perplexity)],
    ['Package', size(model.package_bytes)],
    ['Digest', digest],
    ['Licence', model.licence],
  ]));
  showColdStart(model.cold_start);
}

function answered(opened) {
  learnColdStart(opened.model, () => current === opened);
}

/** That of the package, and of the weights it was made from, on the text that the packer read. */
function perplexity({ text, source, packed }) {
  return `${packed.toFixed(2)} (${source.toFixed(2)} before packing) on ${text}`;
}

function size(bytes) {
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

/** Tensors in a line each; more than a few are folded. */
function tensors(specs) {
  const lines = specs.map(({ name, dtype, shape }) => element('div', {}, `${name} `, element('code', {}, `${dtype} [${shape.join(', ')}]`)));
  if (lines.length <= 3) return element('div', {}, ...lines);
  return element('details', {}, element('summary', {}, `${lines.length} tensors`), ...lines);
}

function makeField(model, edited, answered) {
  if (model.task === 'generate') return new GenerateField(model, edited, answered);
  if (model.text) return makeTextField(model, edited);
  if (model.image) return new PictureField(model.image, edited);
  if (model.features.length) return new TableField(model, edited);
  const editor = new JsonEditor('Input as JSON', edited);
  editor.load(zeros(model.inputs));
  return editor;
}

function makeTextField(model, edited) {
  if (model.task === 'embed') return new SentencesField(edited);
  if (model.task === 'rerank') return new RankingField(edited);
  return new TextField(model, edited);
}

/** Offers the examples; the first is loaded, and predicted unless the field waits to be asked. */
function offerExamples(examples) {
  byId('examples').hidden = !examples.length;
  const buttons = examples.map(({ title, input }) => {
    const button = element('button', { type: 'button', attributes: { 'aria-pressed': 'false' } });
    if (current.model.image && typeof input === 'string') {
      const source = input.startsWith('data:') ? input : `data:image/png;base64,${input}`;
      button.append(element('img', { src: source, alt: '', width: 32, height: 32 }));
    }
    button.append(element('span', {}, title));
    button.addEventListener('click', async () => {
      if (await load(button, input)) run();
    });
    return button;
  });
  byId('examples').replaceChildren(...buttons);
  if (!buttons.length) return;
  if (current.field.isPatient) load(buttons[0], examples[0].input);
  else buttons[0].click();
}

/** Puts an example into the field; answers whether it fits. */
async function load(button, input) {
  try {
    await current.field.load(input);
  } catch {
    showProblem(new Problem({ message: 'This example can’t be shown.' }));
    return false;
  }
  press(button);
  return true;
}

function press(pressed) {
  for (const button of byId('examples').children) button.setAttribute('aria-pressed', String(button === pressed));
}

let pause;

/** After an edit: predicts as soon as the input is complete and the hand rests. */
function edited({ complete }) {
  press(null);
  clearTimeout(pause);
  if (complete) pause = setTimeout(run, PAUSE);
}

let isRunning = false;
let next = null;

/** Predicts the input on the page; while a request is under way only the newest of those that follow is kept. */
async function run({ asked = false } = {}) {
  clearTimeout(pause);
  if (current?.field?.run) {
    current.field.run({ asked });
    return;
  }
  if (isRunning) {
    next = { asked: asked || Boolean(next?.asked) };
    return;
  }
  if (!current?.field) return;
  isRunning = true;
  byId('result').setAttribute('aria-busy', 'true');
  await predictOnce(current, asked);
  isRunning = false;
  byId('result').removeAttribute('aria-busy');
  const following = next;
  next = null;
  if (following) run(following);
}

async function predictOnce(opened, asked) {
  const { field, name, model, roundTrips } = opened;
  try {
    const request = await field.request();
    if (current === opened) showCurl(name, request);
    const { body, times } = await predict(name, request);
    if (current !== opened) return;
    field.mark(null);
    roundTrips.push(times.roundTrip);
    showAnswer(field.show?.(body) ?? prediction(body, model.labels), body);
    showTimes(times, roundTrips, opened.cold);
    opened.cold = null;
    answered(opened);
  } catch (problem) {
    if (current !== opened) return;
    const marked = field.mark(problem);
    showProblem(problem);
    if (asked) marked?.focus();
  }
}

/** Says in the place of a model what is in the way. */
function notice(title, text, ...more) {
  byId('model').hidden = true;
  byId('notice').hidden = false;
  byId('notice').replaceChildren(element('h1', {}, title), element('p', {}, text), ...more);
  byId('announcement').textContent = `${title}. ${text}`;
}

function retry(action) {
  const button = element('button', { type: 'button', className: 'primary' }, 'Look again');
  button.addEventListener('click', action);
  return button;
}
