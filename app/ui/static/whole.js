// A record keeps only the beginning of a long text, and the rest in a blob; the session's messages have it whole.

import * as api from "./api.js";

const PARTS = {
  "run.queued": { get: (data) => data.input, set: (data, input) => ({ ...data, input }) },
  "input.steered": { get: (data) => data.input, set: (data, input) => ({ ...data, input }) },
  "message.appended": {
    get: (data) => data.message.parts,
    set: (data, parts) => ({ ...data, message: { ...data.message, parts } }),
  },
};

// Gives the event with whole texts. Throws a Problem or Lost.
export async function whole(place, event, signal) {
  const parts = PARTS[event.type];
  if (!parts?.get(event.data).some((part) => part.blob)) return event;
  const { messages } = await api.readMessages(place, event.data.seq - 1, 1, signal);
  return messages.length ? { ...event, data: parts.set(event.data, messages[0].message.parts) } : event;
}
