// The input of an image model: a picture that is dropped, pasted, chosen or drawn.

import { Problem } from './api.js';
import { element } from './dom.js';

/** The drawing's longer side in pixels. */
const SIDE = 320;
const BLACK = '#000';
const WHITE = '#fff';

export class PictureField {
  constructor(spec, edited) {
    Object.assign(this, { spec, edited, file: null, isDrawn: false });
    const scale = SIDE / Math.max(spec.width, spec.height);
    this.canvas = element('canvas', {
      className: 'drawing',
      width: Math.round(spec.width * scale),
      height: Math.round(spec.height * scale),
      attributes: { role: 'img', 'aria-label': 'Drawing field, for mouse, finger or pen' },
    });
    this.context = this.canvas.getContext('2d', { willReadFrequently: true });
    this.seen = element('canvas', {
      className: 'seen', width: spec.width, height: spec.height, attributes: { 'aria-hidden': 'true' },
    });
    this.chooser = element('input', {
      type: 'file', accept: 'image/png,image/jpeg,image/*', id: 'file', className: 'unseen',
    });
    const clear = element('button', { type: 'button', className: 'quiet' }, 'Clear');
    const hint = element('p', { className: 'hint' }, 'Draw here, drop or paste a picture, or ');
    this.problem = element('p', { className: 'problem', hidden: true });
    hint.append(this.chooser, element('label', { htmlFor: 'file', className: 'link' }, 'choose a file'), '.');
    const size = `${spec.width} × ${spec.height}, ${spec.colour === 'rgb' ? 'colour' : 'grey'}`;
    this.element = element(
      'div', { className: 'picture' },
      element('div', { className: 'stage' }, this.canvas, clear),
      element('div', { className: 'beside' }, hint, this.problem,
        element('figure', {}, this.seen, element('figcaption', {}, `About what the model sees: ${size}`))),
    );
    clear.addEventListener('click', () => this.clear());
    this.chooser.addEventListener('change', () => this.take(this.chooser.files[0]));
    this.takeDrops();
    this.takeStrokes();
    this.clear();
  }

  /** Shows an example: a PNG or JPEG in base64, plain or as a `data:` URL. */
  async load(base64) {
    const bytes = Uint8Array.from(atob(base64.replace(/^data:[^,]*,/, '')), (letter) => letter.charCodeAt(0));
    await this.display(new Blob([bytes], { type: bytes[0] === 0xff ? 'image/jpeg' : 'image/png' }));
  }

  async request() {
    if (!this.file && !this.isDrawn) {
      throw new Problem({ code: 'no_picture', message: 'Draw one, choose a file, or take an example.' });
    }
    const image = this.file ?? await new Promise((resolve) => this.canvas.toBlob(resolve, 'image/png'));
    return { type: image.type, body: await image.arrayBuffer() };
  }

  /** A file that a person gave: shown, and predicted. */
  async take(file) {
    this.chooser.value = '';
    if (!file) return;
    try {
      await this.display(file);
      this.edited({ complete: true });
    } catch {
      this.tell(`${file.name || 'This file'} is no picture that this browser can read.`);
    }
  }

  async display(file) {
    const bitmap = await createImageBitmap(file);
    this.wipe(this.spec.background === 'light' ? WHITE : BLACK);
    const fit = Math.min(this.canvas.width / bitmap.width, this.canvas.height / bitmap.height);
    const [width, height] = [bitmap.width * fit, bitmap.height * fit];
    this.context.imageSmoothingEnabled = fit < 2;
    onWhite(this.context, bitmap, (this.canvas.width - width) / 2, (this.canvas.height - height) / 2, width, height);
    this.file = ['image/png', 'image/jpeg'].includes(file.type) ? file : await asPng(bitmap);
    this.pen = isLight(this.canvas) ? BLACK : WHITE;
    this.tell('');
    this.look(bitmap);
  }

  clear() {
    const dark = this.spec.background === 'dark';
    this.pen = dark ? WHITE : BLACK;
    this.wipe(dark ? BLACK : WHITE);
    this.tell('');
    this.look(this.canvas);
    this.edited({ complete: false });
  }

  wipe(colour) {
    this.file = null;
    this.isDrawn = false;
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  takeStrokes() {
    const { canvas, context } = this;
    let last = null;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
    };
    const draw = (event) => {
      const here = place(event);
      context.strokeStyle = this.pen;
      context.lineWidth = SIDE / (Math.max(this.spec.width, this.spec.height) > 64 ? 40 : 11);
      context.lineCap = context.lineJoin = 'round';
      context.beginPath();
      context.moveTo(...last);
      context.lineTo(...here);
      context.stroke();
      last = here;
    };
    canvas.addEventListener('pointerdown', (event) => {
      if (!event.isPrimary || event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.file = null;
      this.isDrawn = true;
      last = place(event);
      draw(event);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (last && event.isPrimary) (event.getCoalescedEvents?.() ?? [event]).forEach(draw);
    });
    const end = () => {
      if (!last) return;
      last = null;
      this.tell('');
      this.look(canvas);
      this.edited({ complete: true });
    };
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
  }

  /** Drops anywhere in the field, pastes anywhere on the page while the field is on it. */
  takeDrops() {
    const over = (isOver) => this.element.classList.toggle('over', isOver);
    this.element.addEventListener('dragover', (event) => {
      event.preventDefault();
      over(true);
    });
    this.element.addEventListener('dragleave', () => over(false));
    this.element.addEventListener('drop', (event) => {
      event.preventDefault();
      over(false);
      this.take(event.dataTransfer.files[0]);
    });
    const paste = (event) => {
      if (!this.element.isConnected) {
        document.removeEventListener('paste', paste);
      } else if (event.clipboardData?.files.length) {
        this.take(event.clipboardData.files[0]);
      }
    };
    document.addEventListener('paste', paste);
  }

  /** Shows about what the model sees; the server's own resizing may differ by a shade. */
  look(source) {
    const { width, height, colour, background } = this.spec;
    const invert = background && isLight(source) !== (background === 'light');
    const context = this.seen.getContext('2d');
    context.imageSmoothingQuality = 'high';
    context.filter = `${colour === 'rgb' ? '' : 'grayscale(1)'} ${invert ? 'invert(1)' : ''}`.trim() || 'none';
    onWhite(context, source, 0, 0, width, height);
  }

  tell(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
  }

  mark(problem) {
    this.tell(problem?.message ?? '');
    return problem ? this.chooser : null;
  }
}

/** Draws a picture as the server reads it: what is transparent is white. */
function onWhite(context, source, x, y, width, height) {
  context.fillStyle = WHITE;
  context.fillRect(x, y, width, height);
  context.drawImage(source, x, y, width, height);
}

/** Whether the border of a picture is light. */
function isLight(source) {
  const side = 16;
  const small = new OffscreenCanvas(side, side).getContext('2d');
  onWhite(small, source, 0, 0, side, side);
  const { data } = small.getImageData(0, 0, side, side);
  let [sum, count] = [0, 0];
  for (let index = 0; index < side * side; index += 1) {
    const [x, y] = [index % side, Math.floor(index / side)];
    if (x % (side - 1) && y % (side - 1)) continue;
    sum += data[index * 4] * 0.3 + data[index * 4 + 1] * 0.6 + data[index * 4 + 2] * 0.1;
    count += 1;
  }
  return sum / count > 127;
}

function asPng(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}
