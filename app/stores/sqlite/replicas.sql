-- name: get_replica
SELECT state FROM replicas WHERE incarnation = ?;

-- name: set_replica
INSERT OR REPLACE INTO replicas (incarnation, state) VALUES (?, ?);

-- name: prune_replicas
DELETE FROM replicas WHERE state = ?;

-- name: list_replicas
SELECT incarnation FROM replicas WHERE state = ? ORDER BY incarnation;
