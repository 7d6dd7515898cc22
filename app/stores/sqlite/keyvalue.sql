-- name: get_value
SELECT version, data FROM keyvalue WHERE tenant = ? AND key = ?;

-- name: get_version
SELECT version FROM keyvalue WHERE tenant = ? AND key = ?;

-- name: put_value
INSERT OR REPLACE INTO keyvalue (tenant, key, data) VALUES (?, ?, ?)
RETURNING version;

-- name: delete_value
DELETE FROM keyvalue WHERE tenant = ? AND key = ?;

-- name: search_keys
SELECT key, version FROM keyvalue WHERE tenant = ? AND key > ? AND key >= ? ORDER BY key LIMIT ?;
