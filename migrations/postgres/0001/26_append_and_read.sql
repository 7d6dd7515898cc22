-- Logs without a claim: appended to by compare-and-set, read, listed, deleted; their runs and heads.
--
-- What only reads is STABLE: all its statements see one moment.

-- Outcomes: `appended`; `repeat`, with the records that the same creation wrote; or nothing was written, for it is
-- `absent`, `erased`, `exists` or `moved`, and the log is at `seq`.
CREATE FUNCTION baton.append_v1(
    p_tenant text,
    p_user text,
    p_agent text,
    p_session text,
    p_digest text,
    p_now double precision,
    p_birth text,
    p_expected bigint,
    p_kinds text[],
    p_bodies bytea[],
    p_readers integer[],
    p_runs text[],
    p_titles text[],
    p_statuses text[],
    p_inputs text[],
    p_blobs text[],
    OUT outcome text,
    OUT seq bigint,
    OUT seqs bigint[],
    OUT bodies bytea[]
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lines baton.line[] := baton.lines(p_kinds, p_bodies, p_readers, p_runs, p_titles, p_statuses, p_inputs);
    head baton.sessions;
    page baton.page;
    was_there boolean;
BEGIN
    PERFORM baton.enter(p_tenant);
    head := baton.lock(p_digest);
    was_there := head.id IS NOT NULL;
    IF p_expected = 0 AND NOT was_there THEN
        head := baton.open(p_tenant, p_user, p_agent, p_session, p_digest, p_birth, p_now);
        was_there := head.seq > 0;
    END IF;
    outcome := CASE
        WHEN head.id IS NULL AND p_expected = 0 THEN 'erased'
        WHEN head.id IS NULL THEN 'absent'
        WHEN p_expected = 0 AND head.birth <> p_birth THEN 'exists'
        WHEN p_expected = 0 AND was_there THEN 'repeat'
        WHEN p_expected <> 0 AND (head.birth, head.seq) <> (p_birth, p_expected) THEN 'moved'
        ELSE 'appended'
    END;
    seq := head.seq;
    IF outcome = 'repeat' THEN
        page := baton.records(head, 0, cardinality(lines));
        seqs := page.seqs;
        bodies := page.bodies;
    ELSIF outcome = 'appended' THEN
        PERFORM baton.write(baton.append(head, lines, baton.moment(p_now)), lines, p_blobs);
    END IF;
END $$;

-- The head, and either up to `p_limit` records after a seq or, for NULL, a checkpoint and all after it. No row: absent.
CREATE FUNCTION baton.read_v1(
    p_tenant text, p_digest text, p_after bigint, p_limit bigint, p_version integer
) RETURNS TABLE (
    head json, checkpoint bigint, version integer, state bytea, seqs bigint[], bodies bytea[]
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found baton.sessions;
    tail baton.tail;
BEGIN
    PERFORM baton.enter(p_tenant);
    SELECT * INTO found FROM baton.sessions AS s WHERE s.digest = p_digest;
    IF found.id IS NULL THEN
        RETURN;
    ELSIF p_after IS NULL THEN
        tail := baton.load(found, p_version);
    ELSE
        tail.page := baton.records(found, p_after, p_limit);
    END IF;
    RETURN QUERY SELECT
        row_to_json(found), tail.checkpoint, tail.version, tail.state, (tail.page).seqs, (tail.page).bodies;
END $$;

-- A user's sessions that follow a place, newest first, by their heads alone.
CREATE FUNCTION baton.list_v1(
    p_tenant text, p_user text, p_agent text, p_created_at double precision, p_session text, p_limit bigint
) RETURNS TABLE (
    agent text,
    session text,
    birth text,
    seq bigint,
    title text,
    status text,
    created_at double precision,
    updated_at double precision
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM baton.enter(p_tenant);
    RETURN QUERY
    SELECT s.agent, s.session, s.birth, s.seq, s.title, baton.status(s), s.created_at, s.updated_at
    FROM baton.sessions AS s
    WHERE s.tenant = p_tenant
        AND s.usr = p_user
        AND (p_agent IS NULL OR s.agent = p_agent)
        AND (s.created_at, s.session) < (p_created_at, p_session)
    ORDER BY s.created_at DESC, s.session DESC
    LIMIT p_limit;
END $$;

-- Nothing of the session is left but a tombstone; gives whether it was there. Blobs that it named count from now on.
CREATE FUNCTION baton.delete_v1(p_tenant text, p_digest text, p_now double precision) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at double precision;
    head baton.sessions;
BEGIN
    PERFORM baton.enter(p_tenant);
    head := baton.lock(p_digest);
    IF head.id IS NULL THEN
        RETURN false;
    END IF;
    at := baton.moment(p_now);
    PERFORM baton.touch_blobs(head, at);
    DELETE FROM baton.blob_names AS n WHERE n.session = head.id;
    DELETE FROM baton.requests AS r WHERE r.session = head.id;
    DELETE FROM baton.runs AS r WHERE r.session = head.id;
    DELETE FROM baton.checkpoints AS c WHERE c.session = head.id;
    DELETE FROM baton.entries AS e WHERE e.session = head.id;
    DELETE FROM baton.sessions AS s WHERE s.id = head.id;
    INSERT INTO baton.tombstones (digest, birth, tenant, at) VALUES (p_digest, head.birth, p_tenant, at);
    RETURN true;
END $$;

-- The blobs that the session names were last needed now. Locked in one order, so that two deletions cannot block each
-- other.
CREATE FUNCTION baton.touch_blobs(head baton.sessions, p_at double precision) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM baton.blobs AS b
    WHERE b.tenant = head.tenant AND b.sha256 IN (
        SELECT n.sha256 FROM baton.blob_names AS n WHERE n.session = head.id
    )
    ORDER BY b.sha256
    FOR UPDATE;
    UPDATE baton.blobs AS b SET touched_at = p_at
    WHERE b.tenant = head.tenant AND b.sha256 IN (
        SELECT n.sha256 FROM baton.blob_names AS n WHERE n.session = head.id
    );
END $$;

-- The tenant's run of that id. No row: it has none.
CREATE FUNCTION baton.find_v1(p_tenant text, p_run text) RETURNS TABLE (
    usr text,
    agent text,
    session text,
    birth text,
    first bigint,
    last bigint,
    stage text,
    joined text
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM baton.enter(p_tenant);
    RETURN QUERY
    SELECT s.usr, s.agent, s.session, s.birth, r.first, r.last, r.stage, r.joined
    FROM baton.runs AS r JOIN baton.sessions AS s ON s.id = r.session
    WHERE r.tenant = p_tenant AND r.run_id = p_run;
END $$;

-- The heads of many sessions, by tenant and digest; `place` counts from 1 which of them it is.
CREATE FUNCTION baton.peek_v1(p_tenants text[], p_digests text[]) RETURNS TABLE (place bigint, head json)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT k.tenant, array_agg(k.digest) AS digests, array_agg(k.place) AS places
        FROM unnest(p_tenants, p_digests) WITH ORDINALITY AS k (tenant, digest, place)
        GROUP BY k.tenant
    LOOP
        PERFORM baton.enter(wanted.tenant);
        RETURN QUERY
        SELECT k.place, row_to_json(s)
        FROM unnest(wanted.digests, wanted.places) AS k (digest, place)
        JOIN baton.sessions AS s ON s.digest = k.digest;
    END LOOP;
END $$;
