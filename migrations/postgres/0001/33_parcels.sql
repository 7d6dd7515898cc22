-- What is too large for a NOTIFY, on its way from one replica to another. A crash may lose it all.
--
-- A parcel belongs to no tenant. Whoever knows its name, which only its two replicas do, gets it, once; the table itself
-- is for nobody to look into: its row-level security has no policy.
CREATE UNLOGGED TABLE baton.parcels (
    name text COLLATE "C" PRIMARY KEY,
    left_at double precision NOT NULL,
    parcel bytea NOT NULL
);
CREATE INDEX parcels_by_age ON baton.parcels (left_at);
ALTER TABLE baton.parcels ENABLE ROW LEVEL SECURITY;

-- The parcel can be collected for a minute. Those of others whose time is over are gone. Runs as the table's owner.
CREATE FUNCTION baton.leave_parcel_v1(p_name text, p_parcel bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = baton, pg_temp
AS $$
DECLARE
    at double precision := extract(epoch FROM clock_timestamp());
BEGIN
    DELETE FROM baton.parcels AS p USING (
        SELECT name FROM baton.parcels WHERE left_at < at - 60 LIMIT 16 FOR UPDATE SKIP LOCKED
    ) AS stale WHERE p.name = stale.name;
    INSERT INTO baton.parcels (name, left_at, parcel) VALUES (p_name, at, p_parcel)
    ON CONFLICT (name) DO UPDATE SET left_at = excluded.left_at, parcel = excluded.parcel;
END
$$;

-- Gives the parcel, which is gone then; NULL if there is none. Runs as the table's owner.
CREATE FUNCTION baton.collect_parcel_v1(p_name text) RETURNS bytea
LANGUAGE sql SECURITY DEFINER
SET search_path = baton, pg_temp
AS $$
    DELETE FROM baton.parcels WHERE name = p_name RETURNING parcel;
$$;
