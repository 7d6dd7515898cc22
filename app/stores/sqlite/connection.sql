-- name: configure
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA busy_timeout = 5000;

-- name: read_only
PRAGMA query_only = ON;

-- name: schema_version
PRAGMA user_version;

-- name: begin_writing
BEGIN IMMEDIATE;

-- name: begin_reading
BEGIN;

-- name: commit
COMMIT;

-- name: savepoint
SAVEPOINT job;

-- name: undo
ROLLBACK TO job;

-- name: release
RELEASE job;
