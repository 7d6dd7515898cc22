-- Large bytes by content. Which sessions name them is in baton.blob_names.
CREATE TABLE baton.blobs (
    tenant text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    touched_at double precision NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (tenant, sha256)
);
CREATE INDEX blobs_by_age ON baton.blobs (touched_at);
ALTER TABLE baton.blobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON baton.blobs USING (tenant = current_setting('baton.tenant', true));

-- The bytes are stored, once; their grace begins anew.
CREATE FUNCTION baton.put_blob_v1(p_tenant text, p_sha256 text, p_data bytea, p_now double precision) RETURNS void
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
DECLARE
    at double precision := coalesce(p_now, extract(epoch FROM clock_timestamp()));
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    INSERT INTO baton.blobs (tenant, sha256, touched_at, data) VALUES (p_tenant, p_sha256, at, p_data)
    ON CONFLICT (tenant, sha256) DO UPDATE SET touched_at = excluded.touched_at;
END
$$;

CREATE FUNCTION baton.get_blob_v1(p_tenant text, p_sha256 text) RETURNS SETOF bytea
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    RETURN QUERY SELECT b.data FROM baton.blobs AS b WHERE b.tenant = p_tenant AND b.sha256 = p_sha256;
END
$$;

-- Looks at up to `p_looks` blobs of every tenant that nobody has touched for so many seconds. Of those that no log
-- names, up to `p_limit` are gone; those that one names count as touched now, so that nobody looks at them for as long
-- again. Runs as the tables' owner.
--
-- The names are asked for by statements of their own, after the locks are there: what a log that has just been written
-- names is seen, and a log that is being written has its blobs locked (`baton.name_blobs`).
CREATE FUNCTION baton.collect_blobs_v1(
    p_grace double precision,
    p_looks integer,
    p_limit integer,
    p_now double precision,
    OUT looked bigint,
    OUT collected bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = baton, pg_temp
AS $$
DECLARE
    at double precision := coalesce(p_now, extract(epoch FROM clock_timestamp()));
    tenants text[];
    hashes text[];
BEGIN
    SELECT array_agg(stale.tenant), array_agg(stale.sha256), count(*) INTO tenants, hashes, looked
    FROM (
        SELECT b.tenant, b.sha256 FROM baton.blobs AS b
        WHERE b.touched_at <= at - p_grace
        ORDER BY b.touched_at
        LIMIT p_looks
        FOR UPDATE SKIP LOCKED
    ) AS stale;
    UPDATE baton.blobs AS b SET touched_at = at
    FROM unnest(tenants, hashes) AS stale (tenant, sha256)
    WHERE b.tenant = stale.tenant AND b.sha256 = stale.sha256
        AND EXISTS (SELECT 1 FROM baton.blob_names AS n WHERE n.tenant = b.tenant AND n.sha256 = b.sha256);
    DELETE FROM baton.blobs AS b USING (
        SELECT o.tenant, o.sha256
        FROM unnest(tenants, hashes) AS o (tenant, sha256)
        WHERE NOT EXISTS (SELECT 1 FROM baton.blob_names AS n WHERE n.tenant = o.tenant AND n.sha256 = o.sha256)
        LIMIT p_limit
    ) AS stale
    WHERE b.tenant = stale.tenant AND b.sha256 = stale.sha256;
    GET DIAGNOSTICS collected = ROW_COUNT;
END
$$;
