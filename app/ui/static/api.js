// The server's API, as far as the page uses it. Every function throws a Problem or Lost.

import { Lost, Problem } from "./errors.js";

const KEY = "baton.key";

export function setKey(key) {
  sessionStorage.setItem(KEY, key);
}

async function request(method, path, { body, headers, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  const options = {
    method,
    signal,
    headers: {
      ...(body && { "Content-Type": "application/json" }),
      ...(key && { Authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: body && JSON.stringify(body),
    cache: "no-store",
  };
  const response = await fetch(path, options).catch(lost);
  if (response.ok) return response;
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

async function json(method, path, options) {
  const response = await request(method, path, options);
  return response.json().catch(lost);
}

function lost(cause) {
  throw new Lost("The server cannot be reached.", { cause });
}

const at = ({ agent, session }) => `/v1/agents/${agent}/sessions/${encodeURIComponent(session)}`;
const after = (id) => (id ? { "Last-Event-ID": id } : {});

export function listSessions(cursor) {
  return json("GET", cursor ? `/v1/sessions?cursor=${encodeURIComponent(cursor)}` : "/v1/sessions");
}

export function readSession(place, signal) {
  return json("GET", at(place), { signal });
}

// Up to `limit` messages after `seq`, with their whole texts.
export function readMessages(place, seq, limit, signal) {
  return json("GET", `${at(place)}/messages?after=${seq}&limit=${limit}`, { signal });
}

export function deleteSession(place) {
  return request("DELETE", at(place));
}

export function cancelRun(run, signal) {
  return json("POST", `/v1/runs/${run}/cancel`, { signal });
}

// The stream of a session's records after `seq`, or after the event `id` of that stream.
export function followSession(place, seq, id, signal) {
  return request("GET", `${at(place)}/events?after=${seq}`, { headers: after(id), signal });
}

// The stream of a run, from its beginning or after the event `id`.
export function followRun(run, id, signal) {
  return request("GET", `/v1/runs/${run}/events`, { headers: after(id), signal });
}

// Sends an input, and gives the stream of the run that answers it. With the same key it is the same input, however
// often it is sent.
export function ask(place, input, key, signal) {
  return request("POST", "/v1/chat", { ...invocation(place, input, key), signal });
}

// Sends an input, and gives the run that will answer it: the active one, if `policy` is "steer" and there is one.
export function add(place, input, key, policy, signal) {
  return json("POST", "/v1/chat", { ...invocation(place, input, key, { on_busy: policy, background: true }), signal });
}

function invocation({ agent, session }, input, key, options) {
  return { body: { agent, session_id: session, input, ...options }, headers: { "Idempotency-Key": key } };
}
