-- name: find_session
SELECT id, head FROM sessions WHERE tenant = ? AND user = ? AND agent = ? AND session = ?;

-- name: insert_session
INSERT INTO sessions (tenant, user, agent, session, birth, created_at, owner, nonce, ready_at, head)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING id;

-- name: update_session
UPDATE sessions SET owner = ?, nonce = ?, ready_at = ?, head = ? WHERE id = ?;

-- name: delete_session
DELETE FROM sessions WHERE id = ?;

-- name: list_sessions
SELECT tenant, user, agent, session, head
FROM sessions
WHERE tenant = :tenant AND user = :user AND (:agent IS NULL OR agent = :agent)
    AND (created_at, session) < (:created_at, :session)
ORDER BY created_at DESC, session DESC
LIMIT :limit;

-- name: insert_entry
INSERT INTO entries (session, seq, body) VALUES (?, ?, ?);

-- name: select_entries
SELECT seq, body FROM entries WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: newest_checkpoint
SELECT seq, version, body FROM checkpoints WHERE session = ? AND version = ? ORDER BY seq DESC LIMIT 1;

-- name: put_checkpoint
INSERT OR REPLACE INTO checkpoints (session, seq, version, body) VALUES (?, ?, ?, ?);

-- name: prune_checkpoints
DELETE FROM checkpoints
WHERE session = :session
    AND seq <= (SELECT seq FROM checkpoints WHERE session = :session ORDER BY seq DESC LIMIT 1 OFFSET :kept);

-- name: insert_tombstone
INSERT INTO tombstones (digest, birth, at) VALUES (?, ?, ?);

-- name: find_tombstone
SELECT 1 FROM tombstones WHERE digest = ? AND birth = ?;
