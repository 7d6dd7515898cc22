// The page: what the address names is shown, and what the person does is done.

import { setKey } from "./api.js";
import { Chat, randomKey } from "./chat.js";
import { Composer } from "./composer.js";
import { currentRun, empty, isBusy } from "./conversation.js";
import { setText } from "./dom.js";
import { AGENT, hashOf, placeInHash, samePlace } from "./places.js";
import { showRuns, showTodos } from "./render.js";
import { Scroll } from "./scroll.js";
import { Sidebar } from "./sidebar.js";

const $ = (id) => document.getElementById(id);

let chat = null;
let wasBusy = false;
let isDrawn = true;

const scroll = new Scroll($("log"), $("latest"));
const composer = new Composer({ onSend: send, onStop: () => attempt((current) => current.stop()) });
const sidebar = new Sidebar({
  report,
  onDeleted: (place) => samePlace(place, chat?.place) && newChat(),
});

function send(text, policy) {
  if (!chat) {
    enter({ agent: AGENT, session: `ses_${randomKey()}` });
    history.pushState(null, "", hashOf(chat.place));
  }
  scroll.toEnd();
  attempt((current) => current.send(text, policy), () => composer.restore(text));
}

// Shows what the address names.
function route() {
  const place = placeInHash(location.hash);
  if (chat && samePlace(place, chat.place)) return;
  enter(place);
  if (place) attempt((current) => current.load());
  else composer.focus();
}

function enter(place) {
  chat?.close();
  showProblem("");
  toggleMenu(false);
  wasBusy = false;
  chat = place && new Chat(place, changed);
  $("runs").replaceChildren();
  $("runs").keyedNodes = undefined;
  sidebar.select(place);
  changed();
  scroll.toEnd();
}

function newChat() {
  history.pushState(null, "", location.pathname);
  route();
}

// Does something with the chat that is shown. What goes wrong is told, unless another chat is shown by then.
async function attempt(action, onFailure = () => {}) {
  const current = chat;
  try {
    await action(current);
  } catch (error) {
    if (current !== chat) return;
    onFailure();
    report(error);
  }
}

function report(error) {
  if (error.status === 401) $("key").showModal();
  else showProblem(error.message);
  if (!error.status) console.error(error);
}

function showProblem(message) {
  $("problem").hidden = !message;
  setText($("problem").firstElementChild, message);
}

// Draws at most once per frame, however many events there are.
function changed() {
  if (isDrawn) requestAnimationFrame(draw);
  isDrawn = false;
}

function draw() {
  isDrawn = true;
  const view = chat?.view ?? empty;
  const busy = isBusy(view);
  showRuns($("runs"), view);
  showTodos($("todos"), view.todos);
  composer.show({ isBusy: busy, isCancelling: currentRun(view)?.cancelling ?? false });
  $("welcome").hidden = chat !== null;
  $("link").hidden = chat?.isLive ?? true;
  const title = view.title || (chat && sidebar.titleOf(chat.place)) || "New chat";
  setText($("title"), title);
  document.title = `${title} · Baton`;
  scroll.settle();
  if (busy !== wasBusy) turned(busy, view);
}

// A run began, or the last one ended.
function turned(busy, view) {
  wasBusy = busy;
  sidebar.refresh().then(changed);
  const answers = view.runs.at(-1)?.entries.filter((entry) => entry.kind === "answer") ?? [];
  setText($("announcer"), busy ? "Answering" : (answers.at(-1)?.pieces.text.text ?? ""));
}

function toggleMenu(open) {
  document.body.classList.toggle("menu", open);
  $("menu").setAttribute("aria-expanded", open);
}

$("new").addEventListener("click", newChat);
$("menu").addEventListener("click", () => toggleMenu(!document.body.classList.contains("menu")));
$("shade").addEventListener("click", () => toggleMenu(false));
$("dismiss").addEventListener("click", () => showProblem(""));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.focus();
});
$("key").addEventListener("close", () => {
  if (!$("key").returnValue) return;
  setKey($("key").querySelector("input").value.trim());
  location.reload();
});
for (const button of document.querySelectorAll("#welcome button")) {
  button.addEventListener("click", () => send(button.textContent, "enqueue"));
}
addEventListener("keydown", (event) => event.key === "Escape" && toggleMenu(false));
addEventListener("hashchange", route);
addEventListener("popstate", route);
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !chat) return;
  sidebar.refresh();
  attempt((current) => current.load());
});

route();
changed();
sidebar.refresh();
