// Server-sent events from text that comes in pieces, wherever it is split.

/** Takes pieces of a stream; answers the events that are complete, `{ type, data }` each. */
export class EventParser {
  constructor() {
    this.line = '';
    this.afterReturn = false;
    this.isFirst = true;
    this.clear();
  }

  push(piece) {
    const events = [];
    for (const part of this.lines(piece)) {
      if (part === '') {
        if (this.data.length) events.push({ type: this.type || 'message', data: this.data.join('\n') });
        this.clear();
      } else {
        this.read(part);
      }
    }
    return events;
  }

  /** The lines that this piece completes: they end with a line feed, a carriage return, or both. */
  lines(piece) {
    let text = piece;
    if (this.afterReturn && text.startsWith('\n')) text = text.slice(1);
    if (piece) this.afterReturn = text ? text.endsWith('\r') : false;
    const parts = (this.line + text).split(/\r\n|\n|\r/);
    this.line = parts.pop();
    if (this.isFirst && parts.length) {
      parts[0] = parts[0].replace(/^\uFEFF/, '');
      this.isFirst = false;
    }
    return parts;
  }

  read(line) {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.data.push(value);
    if (name === 'event') this.type = value;
  }

  clear() {
    this.data = [];
    this.type = '';
  }
}
