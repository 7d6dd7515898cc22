// One session on the page: its view, the stream that keeps it up to date, and what the person does to it.

import * as api from "./api.js";
import { aware, currentRun, empty, expect, fold, isBusy, isFinished, pend, unpend } from "./conversation.js";
import { follow, insist } from "./feed.js";
import { whole } from "./whole.js";

export class Chat {
  view = empty;
  isLive = true;
  #changed;
  #closing = new AbortController();
  #isFollowing = false;

  // `place` is {agent, session}; `changed` is called whenever the view or `isLive` may be another.
  constructor(place, changed) {
    this.place = place;
    this.#changed = changed;
  }

  // The view is up to date, and stays so for as long as a run is active. Throws a Problem.
  async load() {
    if (this.#isFollowing) return;
    const session = await insist(() => api.readSession(this.place, this.#signal), this.#patience);
    this.#put(aware(this.view, session.seq));
    await this.#settle();
  }

  // The input is in the log, and so is its answer. What is sent while a run is active joins it or waits, as `policy`
  // says. Throws a Problem; then the input was not taken.
  async send(text, policy) {
    const key = randomKey();
    this.#put(pend(this.view, key, text));
    try {
      await (this.#isFollowing ? this.#add(text, key, policy) : this.#ask(text, key));
    } catch (error) {
      this.#put(unpend(this.view, (pending) => pending.key === key));
      throw error;
    }
    await this.#settle();
  }

  // The active run was told to stop.
  async stop() {
    const run = currentRun(this.view);
    if (run) await insist(() => api.cancelRun(run.id, this.#signal), this.#patience);
  }

  // Nothing is followed any more. Runs go on.
  close() {
    this.#closing.abort();
  }

  get #signal() {
    return this.#closing.signal;
  }

  get #patience() {
    return { tell: (isLive) => this.#tell(isLive), signal: this.#signal };
  }

  // Follows the answer on the connection that carried the input. If that breaks before it named the run, the same input
  // is sent again, under the same key; after that, the run is followed from the last event seen.
  async #ask(text, key) {
    let run = null;
    const connect = async (id, signal) => {
      if (run) return api.followRun(run, id, signal);
      const response = await api.ask(this.place, text, key, signal);
      run = response.headers.get("X-Run-Id");
      this.#put(expect(this.view, run));
      return response;
    };
    await this.#follow(connect, () => run !== null && isFinished(this.view, run));
  }

  // Sends an input while a stream is followed already: its records arrive on that, or are fetched after it.
  async #add(text, key, policy) {
    const run = await insist(() => api.add(this.place, text, key, policy, this.#signal), this.#patience);
    this.#put(expect(this.view, run.joined ?? run.run_id));
  }

  // Follows the whole session, while a run is active or there are records that the view has not got.
  async #settle() {
    const isSettled = () => !isBusy(this.view) && this.view.known >= this.view.seen;
    if (this.#isFollowing || isSettled()) return;
    const start = this.view.known;
    await this.#follow((id, signal) => api.followSession(this.place, start, id, signal), isSettled);
  }

  async #follow(connect, over) {
    this.#isFollowing = true;
    try {
      const take = async (event) => this.#put(fold(this.view, await whole(this.place, event, this.#signal)));
      await follow({ connect, take, over, ...this.#patience });
    } finally {
      this.#isFollowing = false;
    }
  }

  #put(view) {
    if (view === this.view) return;
    this.view = view;
    this.#changed();
  }

  #tell(isLive) {
    if (isLive === this.isLive) return;
    this.isLive = isLive;
    this.#changed();
  }
}

// Gives 32 hex digits. crypto.randomUUID exists on secure origins only.
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
