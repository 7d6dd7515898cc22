-- Versions are drawn from one sequence, so that none is ever used twice, whatever is deleted.
CREATE SEQUENCE baton.keyvalue_versions AS bigint;

-- Keys are bytes (UTF-8): compared as such they are in the order of their code points, and U+0000 is one of them.
CREATE TABLE baton.keyvalue (
    tenant text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    version bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (tenant, key)
);
ALTER TABLE baton.keyvalue ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON baton.keyvalue USING (tenant = current_setting('baton.tenant', true));

CREATE FUNCTION baton.get_value_v1(p_tenant text, p_key bytea) RETURNS TABLE (version bigint, data bytea)
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    RETURN QUERY SELECT k.version, k.data FROM baton.keyvalue AS k WHERE k.tenant = p_tenant AND k.key = p_key;
END
$$;

-- The new version. It is drawn once the row is locked, so that of two puts the later one has the higher version.
CREATE FUNCTION baton.put_value_v1(p_tenant text, p_key bytea, p_data bytea) RETURNS bigint
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
DECLARE
    drawn bigint;
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    INSERT INTO baton.keyvalue (tenant, key, version, data)
    VALUES (p_tenant, p_key, nextval('baton.keyvalue_versions'), p_data)
    ON CONFLICT (tenant, key) DO UPDATE SET version = nextval('baton.keyvalue_versions'), data = excluded.data
    RETURNING version INTO drawn;
    RETURN drawn;
END
$$;

-- The new version if the key was at that one (0: absent), else NULL and the version it is at.
CREATE FUNCTION baton.put_value_if_version_v1(p_tenant text, p_key bytea, p_data bytea, p_version bigint)
RETURNS TABLE (stored bigint, present bigint)
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    IF p_version = 0 THEN
        INSERT INTO baton.keyvalue (tenant, key, version, data)
        VALUES (p_tenant, p_key, nextval('baton.keyvalue_versions'), p_data)
        ON CONFLICT (tenant, key) DO NOTHING
        RETURNING version INTO stored;
    ELSE
        UPDATE baton.keyvalue AS k SET version = nextval('baton.keyvalue_versions'), data = p_data
        WHERE k.tenant = p_tenant AND k.key = p_key AND k.version = p_version
        RETURNING k.version INTO stored;
    END IF;
    IF stored IS NULL THEN
        SELECT k.version INTO present FROM baton.keyvalue AS k WHERE k.tenant = p_tenant AND k.key = p_key;
    END IF;
    RETURN NEXT;
END
$$;

CREATE FUNCTION baton.delete_value_v1(p_tenant text, p_key bytea) RETURNS boolean
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    DELETE FROM baton.keyvalue WHERE tenant = p_tenant AND key = p_key;
    RETURN found;
END
$$;

-- Keys that begin with the prefix and follow the cursor. No UTF-8 text has a byte 0xFF, so the prefix with one is beyond
-- all that it begins.
CREATE FUNCTION baton.search_values_v1(p_tenant text, p_prefix bytea, p_cursor bytea, p_limit integer)
RETURNS TABLE (key bytea, version bigint)
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
    RETURN QUERY
        SELECT k.key, k.version FROM baton.keyvalue AS k
        WHERE k.tenant = p_tenant AND k.key > p_cursor AND k.key >= p_prefix AND k.key < p_prefix || '\xff'::bytea
        ORDER BY k.key
        LIMIT p_limit;
END
$$;
