// The list of sessions: newest first, a page at a time, each to be opened or deleted.

import { deleteSession, listSessions } from "./api.js";
import { h, icon, keyed, setText } from "./dom.js";
import { hashOf, placeOf, samePlace } from "./places.js";

const BIN = "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12";

export class Sidebar {
  #sessions = [];
  #next = null;
  #current = null;
  #onDeleted;
  #report;

  // `onDeleted` is told which place is gone, `report` what went wrong.
  constructor({ onDeleted, report }) {
    this.list = document.getElementById("sessions");
    this.more = document.getElementById("more");
    this.dialog = document.getElementById("delete");
    this.#onDeleted = onDeleted;
    this.#report = report;
    this.more.addEventListener("click", () => this.#load(this.#next));
  }

  // The first page is up to date.
  refresh() {
    return this.#load(null);
  }

  select(place) {
    this.#current = place;
    this.#show();
  }

  titleOf(place) {
    return this.#sessions.find((session) => samePlace(session, place))?.title ?? "";
  }

  async #load(cursor) {
    try {
      const page = await listSessions(cursor);
      const fresh = page.sessions.map((session) => ({ ...session, ...placeOf(session) }));
      const isFresh = (old) => fresh.some((session) => samePlace(session, old));
      this.#sessions = cursor ? [...this.#sessions.filter((old) => !isFresh(old)), ...fresh] : fresh;
      this.#next = page.next ?? null;
      this.#show();
    } catch (error) {
      this.#report(error);
    }
  }

  #show() {
    keyed(this.list, this.#sessions.map((session) => ({ ...session })), {
      key: hashOf,
      create: (session) => this.#row(session),
      update: (node, session) => this.#update(node, session),
    });
    this.more.hidden = !this.#next;
  }

  #row(session) {
    const remove = h("button", { type: "button", class: "quiet", click: () => this.#confirm(session) }, icon(BIN));
    return h("li", {}, h("a", { href: hashOf(session) }), remove);
  }

  #update(node, session) {
    const [link, remove] = node.children;
    const title = session.title || "Untitled";
    setText(link, title);
    link.title = title;
    link.classList.toggle("busy", session.status !== "idle");
    remove.setAttribute("aria-label", `Delete ${title}`);
    if (this.#current && samePlace(session, this.#current)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  #confirm(session) {
    setText(this.dialog.querySelector("q"), session.title || "Untitled");
    this.dialog.returnValue = "";
    this.dialog.onclose = () => this.dialog.returnValue === "delete" && this.#delete(session);
    this.dialog.showModal();
  }

  async #delete(session) {
    try {
      await deleteSession(session);
    } catch (error) {
      if (error.status !== 404) return this.#report(error);
    }
    this.#onDeleted(session);
    await this.refresh();
  }
}
