-- Who comes second waits here, and finds the work done.
SELECT pg_advisory_xact_lock(hashtextextended('baton.migrate', 0));
CREATE SCHEMA IF NOT EXISTS baton
