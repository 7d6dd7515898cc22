-- name: find_run
SELECT s.tenant, s.user, s.agent, s.session, s.birth, r.first, r.last, r.stage, r.joined
FROM runs AS r JOIN sessions AS s ON s.id = r.session
WHERE r.tenant = ? AND r.run_id = ?;

-- name: insert_run
INSERT INTO runs (tenant, run_id, session, first, last, stage, joined) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: move_run
UPDATE runs SET stage = ?, last = ? WHERE tenant = ? AND run_id = ?;

-- name: find_request
SELECT run_id, fingerprint, seq, at FROM requests WHERE session = ? AND idempotency_key = ?;

-- name: put_request
INSERT OR REPLACE INTO requests (session, idempotency_key, run_id, fingerprint, seq, at) VALUES (?, ?, ?, ?, ?, ?);

-- name: prune_requests
DELETE FROM requests
WHERE session = :session
    AND seq <= (SELECT seq FROM requests WHERE session = :session ORDER BY seq DESC LIMIT 1 OFFSET :kept);
