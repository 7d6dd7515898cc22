// Nodes, built without markup: text is only ever text.

// Gives an element. `attributes` are set as such; a function is a listener; true is an empty attribute, false none.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

// Gives a line drawing on a 24 by 24 grid, as large as the text around it.
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Makes `parent`'s children those of `items`, in order: each item's node is kept for as long as its key is there, and
// `update(node, item)` is called only when the item is another object than before.
export function keyed(parent, items, { key, create, update }) {
  const known = (parent.keyedNodes ??= new Map());
  const kept = new Map();
  items.forEach((item, place) => {
    const id = key(item);
    const entry = known.get(id) ?? { node: create(item), item: null };
    if (entry.item !== item) update(entry.node, item);
    kept.set(id, { node: entry.node, item });
    if (parent.children[place] !== entry.node) parent.insertBefore(entry.node, parent.children[place] ?? null);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  parent.keyedNodes = kept;
}
