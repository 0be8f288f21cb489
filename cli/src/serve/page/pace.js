// How fast an answer came: the time to its first token, tokens a second, and why it ended.

import { byId, element, pairs } from './dom.js';
import { milliseconds } from './result.js';

/** How often the figures are drawn anew while tokens come, in milliseconds. */
const INTERVAL = 100;

/** Tokens that came within as many milliseconds came at once: too short a time to measure a speed by. */
const AT_ONCE = 1;

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
    this.atFirst = 0;
    this.drawn = 0;
    this.draw();
  }

  /** Notes an event, whether text came with it, and when. */
  note({ choices, usage }, piece, arrived) {
    if (piece) {
      this.first ??= arrived;
      this.last = arrived;
      this.pieces += 1;
      if (arrived === this.first) this.atFirst += 1;
    }
    this.reason = choices?.[0]?.finish_reason ?? this.reason;
    this.usage = usage ?? this.usage;
    if (performance.now() - this.drawn >= INTERVAL) this.draw();
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

  /** Whether an answer of several tokens came in one piece: held back on its way, or faster than a browser reads. */
  cameAtOnce() {
    return this.isOver && this.tokens() > 1 && this.last - this.first <= AT_ONCE;
  }

  /** Of the tokens after the first to arrive; of the whole answer, its wait included, where all came at once. */
  perSecond() {
    if (this.cameAtOnce()) return (this.tokens() / (this.last - this.start)) * 1000;
    const time = this.last - this.first;
    return time > AT_ONCE ? ((this.tokens() - this.atFirst) / time) * 1000 : undefined;
  }

  draw() {
    this.drawn = performance.now();
    const speed = this.perSecond();
    const about = this.usage || !this.pieces ? '' : '≈ ';
    byId('timing').replaceChildren(
      element('p', { className: 'speed' }, element('strong', {}, speed === undefined ? '–' : digits(speed)), ' tokens/s'),
      element('dl', { className: 'times' }, ...pairs([
        ['First token', this.first === undefined ? '–' : milliseconds(this.first - this.start)],
        ['Tokens', `${about}${this.tokens()}`],
        ['Prompt', this.prompt()],
        ['Finish', this.isOver ? REASONS[this.reason] ?? this.reason ?? 'unknown' : '…'],
        ['Arrival', this.cameAtOnce() ? 'all at once: the speed is that of the whole answer' : null],
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
