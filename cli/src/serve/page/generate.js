// The input of a language model: a conversation or the beginning of a text, answered token by token.

import { ChatView } from './chat.js';
import { CompletionView } from './completion.js';
import { showCurl } from './curl.js';
import { byId, element } from './dom.js';
import { Pace } from './pace.js';
import { announce, showNothing, showProblem } from './result.js';
import { Sampling } from './sampling.js';
import { stream } from './stream.js';

const BEGINNINGS = {
  chat: [{ title: 'A story', input: { messages: [{ role: 'user', content: 'Tell me a story.' }] } }],
  completion: [{ title: 'Once upon a time', input: { prompt: 'Once upon a time' } }],
};

export class GenerateField {
  /** Nothing is generated before somebody asks. */
  isPatient = true;

  constructor({ name, generate }, edited, answered) {
    this.name = name;
    this.answered = answered;
    const hooks = { edited: () => edited({ complete: false }), send: () => this.run({ asked: true }), stop: () => this.stop() };
    this.views = { completion: new CompletionView(hooks) };
    const canChat = generate?.chat ?? Boolean(generate?.chat_template);
    if (canChat) this.views = { chat: new ChatView(hooks), ...this.views };
    this.sampling = new Sampling(generate?.sampling ?? {}, generate?.context_tokens, hooks.edited);
    this.examples = Object.keys(this.views).flatMap((kind) => BEGINNINGS[kind]);
    this.buttons = Object.entries({ chat: 'Chat', completion: 'Completion' }).map(([kind, text]) => {
      const button = element('button', { type: 'button' }, text);
      button.addEventListener('click', () => this.choose(kind));
      return [kind, button];
    });
    const toggle = element(
      'div', { className: 'toggle', hidden: !this.views.chat, attributes: { role: 'group', 'aria-label': 'Use the model for' } },
      ...this.buttons.map(([, button]) => button));
    this.place = element('div');
    this.element = element('div', { className: 'generate' }, toggle, this.place, this.sampling.element);
    this.turn(this.views.chat ? 'chat' : 'completion');
  }

  get action() {
    return this.view.action;
  }

  /** Shows an example, in the view that it is for. */
  async load(input) {
    await this.stop();
    if (typeof input !== 'string') await this.choose(input.messages && this.views.chat ? 'chat' : 'completion');
    this.view.load(input);
  }

  /** Changes between conversation and text; what is under way is stopped. */
  async choose(kind) {
    if (this.view === this.views[kind]) return;
    await this.stop();
    this.turn(kind);
    byId('predict').textContent = this.action;
    showNothing();
  }

  turn(kind) {
    this.view = this.views[kind];
    this.place.replaceChildren(this.view.element);
    for (const [name, button] of this.buttons) button.setAttribute('aria-pressed', String(name === kind));
  }

  /** Sends what is written and shows the answer as it comes; one answer at a time. */
  async run({ asked = false } = {}) {
    if (this.running) return;
    let request;
    try {
      request = this.request();
    } catch (problem) {
      const marked = problem.code === 'bad_setting' ? this.sampling.wrong() : this.view.mark(problem);
      showProblem(problem);
      if (asked) marked?.focus();
      return;
    }
    showCurl(this.name, request);
    const stopping = new AbortController();
    this.running = { stopping, over: this.answer(request, stopping.signal) };
    await this.running.over;
    this.running = null;
  }

  async answer(request, signal) {
    const { view } = this;
    view.begin();
    byId('answer').replaceChildren(...[view.result].filter(Boolean));
    announce('Writing');
    busy(true);
    const pace = new Pace();
    const problem = await this.follow(request, signal, pace);
    const text = view.end();
    if (this.isLeft) return;
    busy(false);
    if (problem) {
      this.tell(problem, text, pace);
      return;
    }
    this.answered();
    announce(`Done: ${pace.end(signal.aborted ? 'stopped' : undefined)}`);
  }

  /** Takes events until the last; answers the problem that ended them before. */
  async follow(request, signal, pace) {
    try {
      for await (const { event, arrived } of stream(this.name, request, signal)) {
        pace.note(event, this.view.take(event), arrived);
      }
    } catch (problem) {
      return problem;
    }
    return null;
  }

  request() {
    const { action, input } = this.view.read();
    const body = { ...input, ...this.sampling.read(), stream: true, stream_options: { include_usage: true } };
    return { action, type: 'application/json', body: JSON.stringify(body), isStreamed: true };
  }

  /** Says what went wrong; what came before that stays. */
  tell(problem, text, pace) {
    this.view.mark(problem);
    showProblem(problem);
    if (!text) return;
    if (this.view.result) byId('answer').append(this.view.result);
    pace.end('broken');
  }

  /** Ends the answer that is under way, if there is one: what came until now stays. */
  async stop() {
    this.running?.stopping.abort();
    await this.running?.over;
    this.running = null;
  }

  /** Another model takes the page. */
  leave() {
    this.isLeft = true;
    this.stop();
    busy(false);
  }

  mark(problem) {
    return this.view.mark(problem);
  }
}

/** While an answer comes the button that asks is the one that stops. */
function busy(isBusy) {
  const [from, to] = isBusy ? ['predict', 'stop'] : ['stop', 'predict'];
  const hadFocus = document.activeElement === byId(from);
  byId(from).hidden = true;
  byId(to).hidden = false;
  if (hadFocus) byId(to).focus();
}
