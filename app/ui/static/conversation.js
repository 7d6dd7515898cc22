// The fold: how a session's events add up to what the page shows. Pure: a view and an event give the next view, and
// what did not change is the same object, so that the renderer can skip it.
//
// view:  {known, seen, title, todos, pending, runs}    every record up to seq `known` is in here; `seen` is the newest
// run:   {id, first, last, status, error, cancelling, entries}            `first`, `last`: seqs of its records in here
// entry: {kind: "input", key, text, steered} | {kind: "note", key, reason}
//      | {kind: "answer", key, open, incomplete, stop, pieces: {text, thinking}}
//      | {kind: "call", key, open, name, status, pieces: {args, output}}
//
// Repeats are harmless: a record at or before its run's `last` changes nothing, nor do deltas of an item that is closed
// or of text that is there already. So streams may overlap, which is all that a reconnect needs.

export const empty = { known: 0, seen: 0, title: "", todos: [], pending: [], runs: [] };

const ACTIVE = new Set(["queued", "running", "suspended"]);
const NOTHING = { text: "", length: 0 };

export const isActive = (run) => ACTIVE.has(run.status);
export const isBusy = (view) => view.runs.some(isActive);
export const isFinished = (view, id) => view.runs.some((run) => run.id === id && !isActive(run));
// The run that a stop would stop.
export const currentRun = (view) => view.runs.find(isActive);

// Gives the view after an event {type, data}, its data decoded.
export function fold(view, { type, data }) {
  switch (type) {
    case "delta":
    case "item.snapshot":
      return onRun(view, data.run_id, (run) => (isActive(run) ? write(run, data) : run));
    case "gap": // snapshots follow; until then, deltas beyond the hole do not fit and are left out
      return view;
    case "reset":
      return data.reason === "epoch" ? withoutOpen(view) : { ...empty, pending: view.pending };
    default:
      return onRecord(view, type, data);
  }
}

// Gives the view with an input that is on its way to the server.
export function pend(view, key, text) {
  return { ...view, pending: [...view.pending, { key, text }] };
}

export function unpend(view, test) {
  const place = view.pending.findIndex(test);
  return place < 0 ? view : { ...view, pending: view.pending.toSpliced(place, 1) };
}

// Gives the view with a run that the server has promised, though none of its records is here yet.
export function expect(view, id) {
  return findRun(view, id) ? view : withRun(view, newRun(id));
}

// Gives the view that knows of records up to `seq`, seen or not.
export function aware(view, seq) {
  return seq > view.seen ? { ...view, seen: seq } : view;
}

function onRecord(view, type, data) {
  const { seq, run_id: id } = data;
  const run = id && (findRun(view, id) ?? newRun(id));
  const isNew = seq > (run ? run.last : view.known);
  const known = seq === view.known + 1 ? seq : view.known;
  const counted = known === view.known ? aware(view, seq) : { ...aware(view, seq), known };
  if (!isNew) return counted;
  const patched = unpendInput(patch(counted, type, data), data.input);
  if (!run) return patched;
  const applied = APPLY[type]?.(run, data) ?? run;
  return withRun(patched, { ...applied, first: Math.min(run.first, seq), last: seq });
}

function patch(view, type, data) {
  if (type !== "state.patched" && type !== "session.created") return view;
  return { ...view, title: data.title ?? view.title, todos: data.todos ?? view.todos };
}

// The log may keep only the beginning of a long input, and the rest in a blob.
function unpendInput(view, input) {
  if (!input) return view;
  const [said] = input;
  return unpend(view, ({ text }) => (said?.blob ? text.startsWith(said.text) : text === said?.text));
}

const APPLY = {
  "run.queued": (run, data) => add(run, inputEntry(data, false)),
  "input.steered": (run, data) => add(run, inputEntry(data, true)),
  "run.started": (run) => ({ ...run, status: "running" }),
  "run.suspended": (run) => ({ ...run, status: "suspended" }),
  "run.cancel_requested": (run) => ({ ...run, cancelling: true }),
  "run.resumed": (run, data) =>
    add(
      { ...changeCalls(closeOpen(run), (call) => withOutput(call, NOTHING)), status: "running" },
      { kind: "note", key: `note ${data.seq}`, reason: data.reason },
    ),
  "run.finished": (run, data) => ({
    ...changeCalls(closeOpen(run), (call) => ({ ...call, status: "stopped" })),
    status: data.status,
    error: data.error ?? null,
  }),
  "message.appended": (run, data) => onMessage(run, data),
  "tool.finished": (run, { item, outcome, result }) =>
    changeCalls(run, (call) =>
      call.key === item ? { ...withOutput(call, whole(bounded(result))), status: outcome } : call,
    ),
};

// The record takes the place of all that was shown of its step.
function onMessage(run, { item, message, stop = "end" }) {
  const step = item.slice(0, item.lastIndexOf(":") + 1);
  const isShown = (entry) => entry.open && entry.key.startsWith(step);
  const place = run.entries.findIndex(isShown);
  const entries = run.entries.filter((entry) => !isShown(entry));
  entries.splice(place < 0 ? entries.length : place, 0, ...messageEntries(item, message, stop));
  return { ...run, entries };
}

function messageEntries(item, { parts, incomplete = false }, stop) {
  const join = (type, glue) => whole(parts.filter((part) => part.type === type).map(bounded).join(glue));
  const pieces = { text: join("text", ""), thinking: join("thinking", "\n\n") };
  const answer = { kind: "answer", key: item, open: false, incomplete, stop, pieces };
  const calls = incomplete ? [] : parts.filter((part) => part.type === "tool_call").map(callEntry);
  return pieces.text.length || pieces.thinking.length ? [answer, ...calls] : calls;
}

function callEntry({ item, name, arguments: args }) {
  const pieces = { args: whole(args), output: NOTHING };
  return { kind: "call", key: item, open: false, name, status: "running", pieces };
}

function inputEntry({ seq, input }, steered) {
  return { kind: "input", key: `input ${seq}`, text: textOf(input), steered };
}

// Writes a delta (it has an offset) or a snapshot (it has none) into the item it names, if that is open.
function write(run, { item, kind, offset, text }) {
  const place = run.entries.findLastIndex((entry) => entry.key === item);
  const entry = place < 0 ? opened(item, kind) : run.entries[place];
  const isOpen = kind === "output" ? entry?.status === "running" : entry?.open;
  if (!isOpen) return run;
  const old = entry.pieces[kind];
  const piece = offset === undefined ? whole(text) : grown(old, offset, text);
  if (piece === old) return run;
  const written = { ...entry, pieces: { ...entry.pieces, [kind]: piece } };
  return { ...run, entries: place < 0 ? [...run.entries, written] : run.entries.with(place, written) };
}

function opened(item, kind) {
  if (kind === "output") return null; // a call that is not here yet has no output
  if (kind === "args") return { ...callEntry({ item, name: "", arguments: "" }), open: true, status: "writing" };
  const pieces = { text: NOTHING, thinking: NOTHING };
  return { kind: "answer", key: item, open: true, incomplete: false, stop: "", pieces };
}

// Offsets count code points; JavaScript's strings count UTF-16 units.
function grown(piece, offset, text) {
  const points = [...text];
  const fresh = points.slice(piece.length - offset);
  if (offset > piece.length || !fresh.length) return piece;
  return { text: piece.text + fresh.join(""), length: piece.length + fresh.length };
}

function whole(text) {
  return text ? { text, length: [...text].length } : NOTHING;
}

const textOf = (parts) => parts.filter((part) => part.type === "text").map(bounded).join("\n");
const bounded = (part) => (part.blob ? `${part.text}\n… (${part.blob.size} bytes in all)` : part.text);

const add = (run, entry) => ({ ...run, entries: [...run.entries, entry] });
const closeOpen = (run) => ({ ...run, entries: run.entries.filter((entry) => !entry.open) });

const withOutput = (call, output) => ({ ...call, pieces: { ...call.pieces, output } });

// Changes the calls that have no result yet.
function changeCalls(run, change) {
  const isWaiting = (entry) => entry.kind === "call" && entry.status === "running";
  return { ...run, entries: run.entries.map((entry) => (isWaiting(entry) ? change(entry) : entry)) };
}

const findRun = (view, id) => view.runs.findLast((run) => run.id === id);
const withoutOpen = (view) => ({ ...view, runs: view.runs.map((run) => (isActive(run) ? closeOpen(run) : run)) });

function newRun(id) {
  return { id, first: Infinity, last: 0, status: "queued", error: null, cancelling: false, entries: [] };
}

function onRun(view, id, change) {
  const run = findRun(view, id);
  const changed = run && change(run);
  return changed === run ? view : withRun(view, changed);
}

// Runs stand in the order of their first records.
function withRun(view, run) {
  const place = view.runs.findIndex((other) => other.id === run.id);
  if (place >= 0 && view.runs[place].first === run.first) return { ...view, runs: view.runs.with(place, run) };
  const others = view.runs.filter((other) => other.id !== run.id);
  const after = others.findIndex((other) => other.first > run.first);
  return { ...view, runs: others.toSpliced(after < 0 ? others.length : after, 0, run) };
}
