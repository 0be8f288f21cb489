// How fast an answer came: the time to its first token, tokens a second, and why it ended.

import { byId, element, pairs } from './dom.js';
import { milliseconds } from './result.js';

/** How often the figures are drawn anew while tokens come, in milliseconds. */
const INTERVAL = 100;

const REASONS = {
  stop: 'stop: the model ended the text',
  length: 'length: no room for more tokens',
  stopped: 'stopped by you',
  broken: 'broken off',
};

export class Pace {
  constructor() {
    this.start = performance.now();
    this.pieces = 0;
    this.drawn = 0;
    this.draw();
  }

  /** Notes an event, and whether text came with it. */
  note({ choices, usage }, piece) {
    const now = performance.now();
    if (piece) {
      this.first ??= now;
      this.last = now;
      this.pieces += 1;
    }
    this.reason = choices?.[0]?.finish_reason ?? this.reason;
    this.usage = usage ?? this.usage;
    if (now - this.drawn >= INTERVAL) this.draw(now);
  }

  /** Draws the last figures; `reason` is the page's own where the server said none. Answers them in words. */
  end(reason) {
    this.reason = reason ?? this.reason;
    this.isOver = true;
    this.draw();
    return `${this.tokens()} tokens, ${this.reason ?? 'ended'}`;
  }

  /** The server's count, or as many as events came: an event holds a token, seldom more. */
  tokens() {
    return this.usage?.completion_tokens ?? this.pieces;
  }

  perSecond() {
    const seconds = (this.last - this.first) / 1000;
    return this.tokens() > 1 && seconds > 0.001 ? (this.tokens() - 1) / seconds : undefined;
  }

  draw(now = performance.now()) {
    this.drawn = now;
    const speed = this.perSecond();
    const about = this.usage || !this.pieces ? '' : '≈ ';
    byId('timing').replaceChildren(
      element('p', { className: 'speed' }, element('strong', {}, speed === undefined ? '–' : digits(speed)), ' tokens/s'),
      element('dl', { className: 'times' }, ...pairs([
        ['First token', this.first === undefined ? '–' : milliseconds(this.first - this.start)],
        ['Tokens', `${about}${this.tokens()}`],
        ['Prompt', this.prompt()],
        ['Finish', this.isOver ? REASONS[this.reason] ?? this.reason ?? 'unknown' : '…'],
      ])),
    );
  }

  prompt() {
    if (!this.usage) return null;
    const cached = this.usage.prompt_tokens_details?.cached_tokens;
    return `${this.usage.prompt_tokens}${cached ? `, ${cached} of them cached` : ''}`;
  }
}

function digits(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
