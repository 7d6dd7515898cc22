-- name: get_value_v1
SELECT version, data FROM baton.get_value_v1($1, $2);

-- name: put_value_v1
SELECT baton.put_value_v1($1, $2, $3) AS version;

-- name: put_value_if_version_v1
SELECT stored, present FROM baton.put_value_if_version_v1($1, $2, $3, $4);

-- name: delete_value_v1
SELECT baton.delete_value_v1($1, $2) AS deleted;

-- name: search_values_v1
SELECT key, version FROM baton.search_values_v1($1, $2, $3, $4);
