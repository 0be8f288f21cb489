// A request whose answer comes in pieces: what each says, and when it came.

import { problemOf, requestUrl, Problem, unreachable } from './api.js';
import { EventParser } from './sse.js';

/** What the last event of a whole answer says. */
const DONE = '[DONE]';

/**
 * Sends a request (`{ action, type, body }`) and yields each event as it comes: its JSON, and when it `arrived`, the
 * same for all that came in one piece. A Problem where the server refuses, says in the middle that something failed, or
 * stops before it said that it was done. Ends when `signal` aborts.
 */
export async function* stream(model, request, signal) {
  try {
    const response = await fetch(requestUrl(model, request), {
      method: 'POST',
      headers: { 'Content-Type': request.type, Accept: 'text/event-stream' },
      body: request.body,
      signal,
    });
    if (!response.ok) throw problemOf(await response.text(), response.status);
    yield* events(response.body);
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof Problem ? error : unreachable();
  }
}

async function* events(body) {
  const parser = new EventParser();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new Problem({ code: 'broken_off', message: 'The answer stopped in the middle: the server went away, or something between.' });
    const arrived = performance.now();
    for (const { data } of parser.push(value)) {
      if (data.trim() === DONE) return;
      yield { event: parsed(data), arrived };
    }
  }
}

function parsed(data) {
  let body;
  try {
    body = JSON.parse(data);
  } catch {
    throw new Problem({ code: 'broken_off', message: `An event of the answer is no JSON: ${data.slice(0, 200)}` });
  }
  if (body?.error) throw problemOf(data);
  return body;
}
