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

-- Deletes blobs of every tenant that no log has named for so many seconds; gives how many. Runs as the tables' owner.
CREATE FUNCTION baton.collect_blobs_v1(p_grace double precision, p_limit integer, p_now double precision) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = baton, pg_temp
AS $$
DECLARE
    oldest double precision := coalesce(p_now, extract(epoch FROM clock_timestamp())) - p_grace;
    collected bigint;
BEGIN
    WITH stale AS MATERIALIZED (
        SELECT b.tenant, b.sha256 FROM baton.blobs AS b
        WHERE b.touched_at <= oldest
            AND NOT EXISTS (SELECT 1 FROM baton.blob_names AS n WHERE n.tenant = b.tenant AND n.sha256 = b.sha256)
        LIMIT p_limit
        FOR UPDATE OF b SKIP LOCKED
    )
    DELETE FROM baton.blobs AS b USING stale WHERE b.tenant = stale.tenant AND b.sha256 = stale.sha256;
    GET DIAGNOSTICS collected = ROW_COUNT;
    RETURN collected;
END
$$;
