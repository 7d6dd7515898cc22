// A little Markdown: code blocks, headings, lists, quotes, paragraphs; code, bold, italics, links. Built of nodes, so
// that nothing a model writes can be anything but text. What is not understood stays as it was written.

import { h, keyed } from "./dom.js";

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const BULLET = /^\s*[-*+]\s+(.*)$/;
const NUMBER = /^\s*(\d{1,9})[.)]\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const MARKS = [
  /(?<code>`+)(?<inside>.+?)\k<code>(?!`)/,
  /\*\*(?<bold>[^\s*](?:.*?[^\s])?)\*\*/,
  /(?<![\w*])\*(?<italic>[^\s*](?:[^*]*[^\s*])?)\*(?![\w*])/,
  /\[(?<label>[^\]\n]+)\]\((?<target>[^\s()]+)\)/,
];
const INLINE = new RegExp(MARKS.map((mark) => mark.source).join("|"), "g");
// Inline marks are looked for in texts up to that length: the search is quadratic in the worst case.
const LONGEST = 10000;

// Shows the text in `parent`. Blocks that did not change keep their nodes, so a growing text costs its last block.
export function showMarkdown(parent, text) {
  keyed(parent, blocks(text), {
    key: (block) => JSON.stringify(block),
    create: (block) => BUILD[block.kind](block),
    update() {},
  });
}

// Gives the blocks of a text: {place, kind, lines, …}.
export function blocks(text) {
  const found = [];
  let open = null;
  for (const line of text.split("\n")) {
    if (open?.fence) {
      if (closes(line, open.fence)) open = null;
      else open.lines.push(line);
      continue;
    }
    const block = classify(line);
    if (!block) open = null;
    else if (!open || !absorb(open, block, line)) found.push((open = { place: found.length, ...block }));
  }
  return found;
}

function classify(line) {
  let match;
  if (!line.trim()) return null;
  if ((match = FENCE.exec(line))) return { kind: "code", fence: match[1], language: match[2], lines: [] };
  if ((match = HEADING.exec(line))) return { kind: "heading", level: match[1].length, lines: [match[2]] };
  if ((match = BULLET.exec(line))) return { kind: "bullets", lines: [match[1]] };
  if ((match = NUMBER.exec(line))) return { kind: "numbers", start: match[1], lines: [match[2]] };
  if ((match = QUOTE.exec(line))) return { kind: "quote", lines: [match[1]] };
  return { kind: "paragraph", lines: [line] };
}

// Adds the line to the open block if it goes on with it, and says whether it does.
function absorb(open, block, line) {
  const isList = open.kind === "bullets" || open.kind === "numbers";
  if (isList && block.kind === "paragraph" && /^\s{2,}/.test(line)) {
    open.lines.push(`${open.lines.pop()}\n${line.trim()}`);
    return true;
  }
  if (open.kind !== block.kind || block.kind === "heading") return false;
  open.lines.push(...block.lines);
  return true;
}

function closes(line, fence) {
  const end = line.trim();
  return end.length >= fence.length && end === fence[0].repeat(end.length);
}

const items = (lines) => lines.map((line) => h("li", {}, ...inline(line)));

const BUILD = {
  code: ({ lines, language }) =>
    h("pre", { tabindex: "0", "data-language": language || null }, h("code", {}, lines.join("\n"))),
  heading: ({ level, lines }) => h(`h${Math.min(6, level + 2)}`, {}, ...inline(lines[0])),
  bullets: ({ lines }) => h("ul", {}, ...items(lines)),
  numbers: ({ lines, start }) => h("ol", { start }, ...items(lines)),
  quote: ({ lines }) => h("blockquote", {}, ...inline(lines.join("\n"))),
  paragraph: ({ lines }) => h("p", {}, ...inline(lines.join("\n"))),
};

// Gives the nodes of a line.
export function inline(text) {
  if (text.length > LONGEST) return [text];
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, match.index), span(match));
    end = match.index + match[0].length;
  }
  return [...nodes, text.slice(end)].filter((node) => node !== "");
}

function span({ 0: written, groups: { code, inside, bold, italic, label, target } }) {
  if (code) return h("code", {}, inside);
  if (bold) return h("strong", {}, ...inline(bold));
  if (italic) return h("em", {}, ...inline(italic));
  return isSafe(target) ? h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label) : written;
}

// Only addresses that name a harmless scheme themselves; nothing relative, so nothing of ours.
const isSafe = (target) => /^(https?:\/\/|mailto:)/i.test(target) && URL.canParse(target);
