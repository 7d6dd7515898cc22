// The conversation as nodes: runs, and in them inputs, answers, calls and notes.

import { isActive } from "./conversation.js";
import { h, icon, keyed, setText } from "./dom.js";
import { showMarkdown } from "./markdown.js";

const NOTES = {
  takeover: "The server stopped; the answer goes on here",
  handover: "Another server goes on with the answer",
  model_stream: "The model broke off and starts this answer anew",
  woken: "The run goes on",
};

const STOPS = { length: "The answer reached its length limit.", refusal: "The model declined to go on." };

const CALL_STATES = {
  writing: "preparing",
  running: "running",
  ok: "done",
  error: "failed",
  timeout: "timed out",
  unknown: "outcome unknown",
  cancelled: "cancelled",
  stopped: "not finished",
};

const ENDS = { cancelled: "Stopped", failed: "The run failed", limited: "The run reached a limit" };

// Shows the view's runs, and the inputs that are on their way, in `parent`.
export function showRuns(parent, view) {
  const sending = view.pending.map((pending) => ({ id: `pending ${pending.key}`, pending }));
  keyed(parent, [...view.runs, ...sending], {
    key: (run) => run.id,
    create: (run) => (run.pending ? pendingNode(run.pending) : runNode()),
    update: (node, run) => (run.pending ? null : updateRun(node, run)),
  });
}

function runNode() {
  return h("section", { class: "run" }, h("div", { class: "entries" }), h("div", { class: "end" }));
}

function pendingNode({ text }) {
  return h("section", { class: "run" }, h("div", { class: "input sending" }, h("p", {}, text)));
}

function updateRun(node, run) {
  const [entries, end] = node.children;
  node.dataset.status = run.status;
  node.setAttribute("aria-busy", isActive(run));
  keyed(entries, run.entries, { key: (entry) => entry.key, create: createEntry, update: updateEntry });
  showEnd(end, run);
}

// What stands below a run: that something is awaited, or how it ended, if not well.
function showEnd(node, run) {
  const last = run.entries.at(-1);
  const isQuiet = isActive(run) && !(last?.kind === "answer" && last.open) && last?.kind !== "call";
  node.className = isQuiet ? "end waiting" : "end";
  if (isActive(run)) setText(node, isQuiet ? waitingFor(run) : "");
  else setText(node, [ENDS[run.status], run.error?.message].filter(Boolean).join(": "));
  if (run.status === "failed" || run.status === "limited") node.classList.add("bad");
}

function waitingFor(run) {
  if (run.cancelling) return "Stopping";
  return { queued: "Waiting its turn", running: "Thinking", suspended: "Waiting for something outside" }[run.status];
}

function createEntry(entry) {
  return { input: inputNode, note: noteNode, answer: answerNode, call: callNode }[entry.kind](entry);
}

function updateEntry(node, entry) {
  if (entry.kind === "answer") updateAnswer(node, entry);
  if (entry.kind === "call") updateCall(node, entry);
}

function inputNode({ text, steered }) {
  const node = h("div", { class: "input" }, h("span", { class: "hidden" }, "You: "), h("p", {}, text));
  if (steered) node.append(h("small", {}, "added while it ran"));
  return node;
}

function noteNode({ reason }) {
  return h("p", { class: "note", "data-reason": reason }, NOTES[reason] ?? reason);
}

function answerNode() {
  const thinking = h("details", { class: "thinking", hidden: true }, h("summary", {}, "Thinking"), h("p"));
  return h("article", { class: "answer" }, thinking, h("div", { class: "prose" }), h("small"));
}

function updateAnswer(node, { open, incomplete, stop, pieces }) {
  const [thinking, prose, foot] = node.children;
  node.classList.toggle("open", open);
  thinking.hidden = !pieces.thinking.length;
  setText(thinking.lastElementChild, pieces.thinking.text);
  showMarkdown(prose, pieces.text.text);
  setText(foot, incomplete ? "This answer was cut short." : (STOPS[stop] ?? ""));
}

function callNode() {
  const head = h("summary", {}, icon("m9 6 6 6-6 6"), h("b"), h("code"), h("span", { class: "state" }));
  const part = (name) => [h("h3", {}, name), h("pre", { tabindex: "0", class: name.toLowerCase() })];
  const body = h("div", { class: "body" }, ...part("Arguments"), ...part("Output"));
  return h("details", { class: "call" }, head, body);
}

function updateCall(node, { name, status, pieces }) {
  const [head, body] = node.children;
  const [, title, brief, state] = head.children;
  const [, args, heading, output] = body.children;
  node.dataset.status = status;
  setText(title, name || "tool call");
  setText(brief, briefly(pieces.args.text));
  setText(state, CALL_STATES[status] ?? status);
  setText(args, pretty(pieces.args.text));
  setText(output, pieces.output.text);
  heading.hidden = output.hidden = !pieces.output.length;
}

// Gives the values of the arguments on one line; of text that is not JSON yet, the text.
function briefly(text) {
  const values = decoded(text);
  const word = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const words = Object.values(values ?? { text }).map(word);
  return words.join("  ").replace(/\s+/g, " ").slice(0, 160);
}

function pretty(text) {
  const values = decoded(text);
  return values === undefined ? text : JSON.stringify(values, null, 2);
}

function decoded(text) {
  try {
    const value = JSON.parse(text);
    return Object(value) === value ? value : undefined;
  } catch {
    return undefined;
  }
}

// Shows the list of things to do in `panel`, a <details>.
export function showTodos(panel, todos) {
  const done = todos.filter((todo) => todo.status === "done").length;
  panel.hidden = !todos.length;
  const now = todos.find((todo) => todo.status === "in_progress");
  setText(panel.firstElementChild, `Plan: ${done} of ${todos.length} done${now ? `, now: ${now.text}` : ""}`);
  keyed(panel.lastElementChild, todos, {
    key: (todo) => `${todos.indexOf(todo)} ${todo.status} ${todo.text}`,
    create: ({ text, status = "pending" }) =>
      h("li", { "data-status": status }, text, h("span", { class: "hidden" }, ` (${status.replace("_", " ")})`)),
    update() {},
  });
}
