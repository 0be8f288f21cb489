// Making elements: text goes in as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with properties (`aria-…` and other attributes in `attributes`) and children (elements or texts). */
export function element(tag, { attributes = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The pairs of a `dl`, each in a `div`; a pair without a value is left out. */
export function pairs(entries) {
  return entries
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)));
}
