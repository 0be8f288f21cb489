// The curl line that sends the request last shown, with what it needs to work elsewhere.

import { requestUrl } from './api.js';
import { byId } from './dom.js';

/** The longest body that stands in the line itself, in characters; a longer one becomes a file. */
const INLINE = 6000;

let downloadUrl = null;

/** Shows the line for a request (`{ action, type, body, isStreamed }`), and the file it reads where there is one. */
export function showCurl(model, request) {
  const { type, body, isStreamed } = request;
  const isInline = typeof body === 'string' && body.length <= INLINE;
  const file = isInline ? null : `${model}.${{ 'image/png': 'png', 'image/jpeg': 'jpg' }[type] ?? 'json'}`;
  const data = isInline ? `-d ${quoted(body)}` : `--data-binary @${file}`;
  const line = [`curl ${isStreamed ? '-N ' : ''}${requestUrl(model, request)}`, `-H 'Content-Type: ${type}'`, data].join(' \\\n  ');
  byId('curl').replaceChildren(...line.split(/(?<=[,/])/).flatMap((part) => [part, document.createElement('wbr')]));
  byId('same').hidden = false;
  offer(file, body, type);
}

export function hideCurl() {
  byId('same').hidden = true;
}

export function startCopying() {
  const button = byId('copy');
  button.addEventListener('click', async () => {
    button.textContent = (await copy(byId('curl'))) ? 'Copied' : 'Selected';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
}

function offer(file, body, type) {
  if (downloadUrl) URL.revokeObjectURL(downloadUrl);
  downloadUrl = file && URL.createObjectURL(new Blob([body], { type }));
  const link = byId('download');
  link.hidden = !file;
  if (!file) return;
  link.href = downloadUrl;
  link.download = file;
  link.textContent = `Save ${file}`;
}

/** A text as one word of a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Copies an element's text, or selects it where the browser keeps the clipboard shut (plain HTTP on another host). */
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return false;
  }
}
