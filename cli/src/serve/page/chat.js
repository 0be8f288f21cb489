// A conversation: what was said, and the box for what to say next.

import { Problem } from './api.js';
import { element } from './dom.js';

/** How far from its end the conversation may be scrolled and still follow what comes, in pixels. */
const NEAR = 48;

export class ChatView {
  action = 'Send';

  /** `send` is called when Enter is pressed in the box, `edited` on every edit; `stop` ends an answer under way. */
  constructor({ edited, send, stop }) {
    this.turns = [];
    this.log = element('ol', { className: 'log', tabIndex: 0, attributes: { 'aria-label': 'Conversation' } });
    this.system = box('System prompt', 'system', 2, '');
    this.message = box('Message', 'message', 2, 'chat-problem');
    this.problem = element('p', { className: 'problem', id: 'chat-problem', hidden: true });
    this.over = element('button', { type: 'button', className: 'quiet' }, 'Start over');
    this.over.addEventListener('click', async () => {
      await stop();
      this.clear();
      edited();
      this.message.box.focus();
    });
    for (const { box: text } of [this.system, this.message]) text.addEventListener('input', () => {
      this.mark(null);
      edited();
    });
    this.message.box.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.ctrlKey || event.metaKey || event.isComposing) return;
      if (matchMedia('(hover: none)').matches) return;
      event.preventDefault();
      send();
    });
    this.details = element('details', { className: 'system' }, element('summary', {}, 'System prompt'), this.system.label);
    this.system.label.firstChild.className = 'unseen';
    this.element = element(
      'div', { className: 'texts chat' }, this.details, this.log, this.message.label, this.problem, this.over);
    this.clear();
  }

  /** Begins anew with what an example holds: a message, or messages of which the last is still to be sent. */
  load(input) {
    this.clear();
    const messages = typeof input === 'string' ? [{ role: 'user', content: input }] : input.messages;
    const said = messages.filter(({ role }) => role !== 'system');
    const unsaid = said.at(-1)?.role === 'user' ? said.pop().content : '';
    for (const { role, content } of said) this.append(role, content);
    this.message.box.value = unsaid;
    this.system.box.value = messages.find(({ role }) => role === 'system')?.content ?? '';
    this.details.open = Boolean(this.system.box.value);
    this.mark(null);
  }

  clear() {
    this.turns = [];
    this.log.replaceChildren();
    this.follow();
  }

  /** What goes into the request; a Problem where there is nothing to say. */
  read() {
    const content = this.message.box.value;
    if (!content.trim()) throw new Problem({ code: 'empty_input', message: 'Write a message first.' });
    const system = this.system.box.value;
    const before = system.trim() ? [{ role: 'system', content: system }] : [];
    const said = this.turns.map((turn) => ({ role: turn.role, content: turn.content }));
    return { action: 'v1/chat/completions', input: { messages: [...before, ...said, { role: 'user', content }] } };
  }

  /** The message was sent: it joins the conversation, and an answer begins. */
  begin() {
    this.append('user', this.message.box.value);
    this.message.box.value = '';
    this.append('assistant', '');
    this.turns.at(-1).item.classList.add('growing');
    this.follow();
  }

  /** The text that an event adds to the answer. */
  take({ choices }) {
    const piece = choices?.[0]?.delta?.content ?? '';
    const turn = this.turns.at(-1);
    turn.content += piece;
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    turn.text.append(piece);
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.log.scrollTop = this.log.scrollHeight;
    return piece;
  }

  /** The answer is over; one that never began gives the message back to the box, unless there is a new one in it. */
  end() {
    const answer = this.turns.at(-1);
    answer.item.classList.remove('growing');
    if (!answer.content) {
      answer.item.remove();
      const [message] = this.turns.splice(-2);
      message.item.remove();
      this.message.box.value ||= message.content;
    }
    this.follow();
    return answer.content;
  }

  mark(problem) {
    this.problem.hidden = !problem;
    this.problem.textContent = problem?.message ?? '';
    this.message.box.setAttribute('aria-invalid', String(Boolean(problem)));
    return problem ? this.message.box : null;
  }

  append(role, content) {
    const text = element('p', {}, content);
    const who = { user: 'You', assistant: 'Model' }[role] ?? role;
    const item = element('li', { className: role }, element('span', { className: 'who' }, who), text);
    this.turns.push({ role, content, text, item });
    this.log.append(item);
    this.follow();
  }

  follow() {
    this.log.hidden = this.over.hidden = !this.turns.length;
    this.log.scrollTop = this.log.scrollHeight;
  }
}

/** A box for a text in its label, described by the element with the id `describedBy`. */
function box(name, id, rows, describedBy) {
  const text = element('textarea', { id, rows, attributes: { 'aria-describedby': describedBy || null } });
  return { box: text, label: element('label', { htmlFor: id }, element('span', {}, name), text) };
}
