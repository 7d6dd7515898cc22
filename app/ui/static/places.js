// Which session the page shows: the address' hash says it, as `#agent/session`.

export const AGENT = "assistant";

export const placeOf = ({ agent, session_id: session }) => ({ agent, session });

// Gives the place in the address, or null for a new chat.
export function placeInHash(hash) {
  const [agent, session, ...rest] = hash.slice(1).split("/");
  if (!agent || !session || rest.length) return null;
  try {
    return { agent, session: decodeURIComponent(session) };
  } catch {
    return null;
  }
}

export const hashOf = ({ agent, session }) => `#${agent}/${encodeURIComponent(session)}`;
export const samePlace = (one, other) => one?.agent === other?.agent && one?.session === other?.session;
