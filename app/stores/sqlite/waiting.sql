-- name: is_contended
SELECT EXISTS (SELECT 1 FROM sessions WHERE ready_at IS NOT NULL AND tenant < :tenant)
    OR EXISTS (SELECT 1 FROM sessions WHERE ready_at IS NOT NULL AND tenant > :tenant);

-- name: ready_tenants
SELECT DISTINCT tenant FROM sessions WHERE ready_at IS NOT NULL;

-- name: ready_sessions
SELECT id, tenant, user, agent, session, head
FROM sessions
WHERE ready_at IS NOT NULL AND tenant = ?
ORDER BY ready_at, id;

-- name: count_running
SELECT tenant, count(*) FROM sessions WHERE owner IS NOT NULL GROUP BY tenant;

-- name: owned_sessions
SELECT id, tenant, user, agent, session, head
FROM sessions
WHERE owner = ? AND nonce NOT IN (SELECT value FROM json_each(?))
ORDER BY id;
