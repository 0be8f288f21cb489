// Talking to the server: every failure becomes a Problem that can be shown in words.

const TITLES = {
  malformed_json: 'This is not valid JSON',
  bad_request: 'The request does not fit',
  wrong_shape: 'The shape does not fit',
  wrong_dtype: 'A value is of the wrong kind',
  unknown_feature: 'A name is unknown',
  missing_feature: 'A value is missing',
  bad_image: 'This picture can’t be read',
  unknown_model: 'There is no such model',
  body_too_large: 'The input is too large',
  empty_input: 'There is no text yet',
  empty: 'There is no text yet',
  validation: 'The request does not fit',
  text_too_long: 'The text is too long',
  context_length_exceeded: 'A text is too long',
  wrong_task: 'This model does something else',
  unsupported_media_type: 'This kind of file is not taken',
  model_failed: 'The model failed',
  package_corrupt: 'The package is damaged',
  package_unsupported: 'This server can’t run the package',
  package_unsigned: 'The package is not signed',
  package_untrusted: 'The package is signed by nobody trusted',
  package_unencrypted: 'The package is not encrypted',
  package_locked: 'The package can’t be decrypted',
  key_unreachable: 'The key service can’t be reached',
  package_missing: 'The package is missing from the store',
  store_unreachable: 'The store can’t be reached',
  deadline: 'The time ran out',
  no_picture: 'There is no picture yet',
  unreachable: 'The server does not answer',
  broken_off: 'The answer broke off',
};

/** Something that went wrong, in words. */
export class Problem extends Error {
  constructor({ code, message, expected, got, status }) {
    super(message);
    this.title = TITLES[code] ?? (status ? `The server answered with status ${status}` : 'Something went wrong');
    Object.assign(this, { code, expected, got, status });
  }
}

export const url = (path) => new URL(path, document.baseURI).href;
export const requestUrl = (model, { action = 'predict' }) => url(`models/${encodeURIComponent(model)}/${action}`);

export const listModels = async () => (await call(url('models'))).body.models;
export const describeModel = async (name) => call(url(`models/${encodeURIComponent(name)}`));

/** Sends a request (`{ action, type, body }`); answers its body and its times in milliseconds. */
export const predict = (model, request) =>
  call(requestUrl(model, request), { method: 'POST', headers: { 'Content-Type': request.type }, body: request.body });

async function call(address, options) {
  const start = performance.now();
  let response, text;
  try {
    response = await fetch(address, options);
    text = await response.text();
  } catch {
    throw unreachable();
  }
  const roundTrip = networkTime(address) ?? performance.now() - start;
  const body = parse(text);
  if (!response.ok || body === undefined) throw problemOf(text, response.status);
  return { body, times: { roundTrip, ...serverTimes(response.headers.get('Server-Timing') ?? '') } };
}

/** The problem that the text of an answer tells, in whichever dialect. */
export function problemOf(text, status) {
  const { error } = parse(text) ?? {};
  const told = typeof error === 'string' ? { message: error, code: parse(text).error_type } : error;
  return new Problem({ message: text.slice(0, 300) || 'The answer is empty.', ...told, status });
}

export function unreachable() {
  return new Problem({
    code: 'unreachable',
    message: `No answer from ${location.origin}. Is emberlite serve still running?`,
  });
}

/** From the request's first byte to the answer's last, by the browser's own clock: the page's work is not in it. */
function networkTime(address) {
  const { requestStart = 0, responseEnd = 0 } = performance.getEntriesByName(address, 'resource').at(-1) ?? {};
  performance.clearResourceTimings();
  return requestStart && responseEnd > requestStart ? responseEnd - requestStart : undefined;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `load;dur=1.5, run;dur=2` as `{ load: 1.5, run: 2 }`. */
function serverTimes(header) {
  const entries = [...header.matchAll(/([\w-]+)[^,]*?;\s*dur=([\d.]+)/g)];
  return Object.fromEntries(entries.map(([, name, duration]) => [name, Number(duration)]));
}
