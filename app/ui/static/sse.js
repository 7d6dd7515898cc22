// Server-sent events out of a byte stream, as WHATWG HTML defines them. EventSource cannot POST, and cannot be told
// what to do when a connection breaks; fetch and these lines can.

import { Lost } from "./errors.js";

// Gives a function that takes text as it comes and gives the events that are complete, each {id, type, data}.
// `id` is the last one seen, as the standard has it. What an unfinished event holds is dropped with the parser.
export function parser() {
  let rest = "";
  let id = "";
  let type = "";
  let data = [];

  function end(events) {
    if (data.length) events.push({ id, type: type || "message", data: data.join("\n") });
    type = "";
    data = [];
  }

  function take(line, events) {
    if (line === "") return end(events);
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  }

  return function push(text) {
    const events = [];
    // A CR at the end may be half of a CRLF: it waits for what follows.
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) take(line, events);
    return events;
  };
}

// Yields the events of a response body, in batches as they arrive. A comment alone yields an empty batch: a sign of
// life. Throws Lost.
export async function* batches(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const push = parser();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(lost);
      if (done) return;
      yield push(value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function lost(cause) {
  throw new Lost("The stream broke off.", { cause });
}
