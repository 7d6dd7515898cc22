// What outlives a broken connection: a stream that is followed, and a request that is made until the server answers.

import { Lost, Problem } from "./errors.js";
import { batches } from "./sse.js";

const FIRST_MS = 250;
const LONGEST_MS = 5000;
// The server says something every 15 s. A connection that is silent for three times as long is dead, whatever TCP says.
const SILENCE_MS = 45000;

// Follows a stream until `over()`. `connect(id, signal)` opens it after the event `id`, or from its beginning;
// `take(event)` gets every event, and again if it could not take it; `tell(isLive)` is told when the connection breaks and when it is back.
// Throws a Problem that trying again would not change, and what `signal` was aborted with.
export async function follow({ connect, take, over, tell, signal }) {
  let id = "";
  let failures = 0;
  while (!over()) {
    const connection = new AbortController();
    const watch = watchdog(connection);
    try {
      const response = await connect(id, AbortSignal.any([signal, connection.signal]));
      tell(true);
      for await (const batch of batches(response.body)) {
        watch.feed();
        for (const event of batch) {
          failures = 0;
          await take({ type: event.type, data: JSON.parse(event.data) });
          id = event.id || id;
        }
        if (over()) return;
      }
    } catch (error) {
      rethrowUnlessTransient(error, signal);
    } finally {
      watch.stop();
      connection.abort();
    }
    if (over()) return;
    tell(false);
    await pause(failures++, signal);
  }
}

// Gives what `action` gives, once the server answers. The action must be one that may be repeated.
export async function insist(action, { tell, signal }) {
  for (let failures = 0; ; failures++) {
    try {
      const result = await action();
      tell(true);
      return result;
    } catch (error) {
      rethrowUnlessTransient(error, signal);
    }
    tell(false);
    await pause(failures, signal);
  }
}

function rethrowUnlessTransient(error, signal) {
  signal.throwIfAborted();
  const isTransient = error instanceof Lost || (error instanceof Problem && error.again);
  if (!isTransient) throw error;
}

function watchdog(connection) {
  let timer;
  const stop = () => clearTimeout(timer);
  const feed = () => {
    stop();
    timer = setTimeout(() => connection.abort(), SILENCE_MS);
  };
  feed();
  return { feed, stop };
}

// Waits longer after every failure, by chance a little less, so that many pages do not come back at the same moment.
function pause(failures, signal) {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);
  const over = new AbortController();
  const waiting = new Promise((resolve, reject) => {
    setTimeout(resolve, longest * (0.5 + Math.random() / 2));
    addEventListener("online", resolve, { signal: over.signal });
    signal.addEventListener("abort", () => reject(signal.reason), { signal: over.signal });
  });
  return waiting.finally(() => over.abort());
}
