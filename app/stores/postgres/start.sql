-- name: schema_version
SELECT version_num FROM baton.schema_version;

-- name: describe_server
SELECT
    current_setting('server_version_num')::integer / 10000 AS version,
    r.rolname AS role,
    r.rolsuper OR r.rolbypassrls OR EXISTS (
        SELECT 1 FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('baton') AND c.relkind = 'r' AND pg_has_role(r.oid, c.relowner, 'MEMBER')
    ) AS unbound
FROM pg_roles AS r
WHERE r.rolname = current_user;

-- name: notify
SELECT pg_notify($1, $2);
