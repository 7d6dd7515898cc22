-- How a session finds an owner. Two functions here look across tenants, as the tables' owner: one gives keys and what
-- heads say of claims, the other one a number.

-- What a head says of claims; enough to be a `Head`.
CREATE FUNCTION baton.claim_fields(head baton.sessions) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN json_build_object(
        'birth', head.birth,
        'created_at', head.created_at,
        'updated_at', head.updated_at,
        'seq', head.seq,
        'min_reader', head.min_reader,
        'epoch', head.epoch,
        'nonce', head.nonce,
        'owner', head.owner,
        'active', head.active,
        'suspended', head.suspended,
        'queue', head.queue,
        'ready_at', head.ready_at
    );
END $$;

-- What the claimant may take: its own sessions that it lost track of, then ready ones in the order of
-- `app/stores/fairness.py`: of the tenant with the fewest running ones first, then those that wait longest. `running`:
-- how many the tenant has running.
--
-- Few sessions are ready or owned at one moment, but the planner may know another one. So what follows asks for the
-- orders that only the small indexes have, and for an owner as a range, lest another index be taken to do as well.
CREATE FUNCTION baton.candidates_v1(
    p_incarnation text, p_held text[], p_reader integer, p_agents text[], p_limit bigint
) RETURNS TABLE (
    own boolean,
    tenant text,
    usr text,
    agent text,
    session text,
    running bigint,
    head json
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT true, s.tenant, s.usr, s.agent, s.session, 0::bigint, baton.claim_fields(s)
    FROM baton.sessions AS s
    WHERE s.owner >= p_incarnation
        AND s.owner <= p_incarnation
        AND s.nonce <> ALL (p_held)
        AND s.min_reader <= p_reader
        AND (s.active IS NOT NULL OR (cardinality(s.queue) > 0 AND s.agent = ANY (p_agents)))
    ORDER BY s.owner, s.id
    LIMIT p_limit;
    RETURN QUERY
    WITH RECURSIVE tenants AS (
        (
            SELECT s.tenant FROM baton.sessions AS s
            WHERE s.ready_at IS NOT NULL
            ORDER BY s.tenant, s.ready_at, s.id LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT s.tenant FROM baton.sessions AS s
            WHERE s.ready_at IS NOT NULL AND s.tenant > t.tenant
            ORDER BY s.tenant, s.ready_at, s.id LIMIT 1
        )
        FROM tenants AS t WHERE t.tenant IS NOT NULL
    ),
    counts AS (
        SELECT o.tenant, count(*) AS running
        FROM (SELECT s.tenant FROM baton.sessions AS s WHERE s.owner IS NOT NULL ORDER BY s.owner, s.id) AS o
        GROUP BY o.tenant
    )
    SELECT
        false, t.tenant, (w.head).usr, (w.head).agent, (w.head).session, coalesce(c.running, 0),
        baton.claim_fields(w.head)
    FROM tenants AS t
    LEFT JOIN counts AS c ON c.tenant = t.tenant
    CROSS JOIN LATERAL (
        SELECT s AS head, s.ready_at, s.id
        FROM baton.sessions AS s
        WHERE s.ready_at IS NOT NULL
            AND s.tenant = t.tenant
            AND s.min_reader <= p_reader
            AND (s.active IS NOT NULL OR s.agent = ANY (p_agents))
        ORDER BY s.ready_at, s.id
        LIMIT p_limit
    ) AS w
    ORDER BY coalesce(c.running, 0) + row_number() OVER (PARTITION BY t.tenant ORDER BY w.ready_at, w.id), w.ready_at
    LIMIT p_limit;
END $$;

-- The session is the claimant's, if it is still as it was read; else no row, and nothing was written.
CREATE FUNCTION baton.adopt_v1(
    p_tenant text,
    p_digest text,
    p_now double precision,
    p_birth text,
    p_epoch bigint,
    p_seq bigint,
    p_incarnation text,
    p_nonce text,
    p_reader integer,
    p_start_before bytea,
    p_start_middle bytea,
    p_start_after bytea
) RETURNS TABLE (orphaned boolean, head json, seqs bigint[], bodies bytea[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    claimant baton.claimant := ROW(p_incarnation, p_nonce, p_reader, p_start_before, p_start_middle, p_start_after);
    found baton.sessions;
    change baton.change;
    page baton.page;
BEGIN
    PERFORM baton.enter(p_tenant);
    found := baton.lock(p_digest);
    IF (found.birth, found.epoch, found.seq) IS DISTINCT FROM (p_birth, p_epoch, p_seq)
        OR baton.is_adoptable(found, claimant) IS NOT TRUE
    THEN
        RETURN;
    END IF;
    change := baton.adopt(found, claimant, baton.moment(p_now), '{}');
    PERFORM baton.write(change.head, change.lines, NULL);
    page := baton.extended(page, change.lines, (change.head).seq);
    RETURN QUERY SELECT
        found.orphaned OR found.owner IS NOT NULL, row_to_json(change.head), page.seqs, page.bodies;
END $$;

-- Up to `p_limit` sessions of a dead incarnation are ready, their claims void; gives how many.
--
-- It waits for a session that somebody else has locked: who sweeps takes "none" for "all are free".
CREATE FUNCTION baton.sweep_v1(p_dead text, p_limit bigint, p_now double precision) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at double precision := baton.moment(p_now);
    head baton.sessions;
    freed bigint := 0;
BEGIN
    FOR head IN
        SELECT * FROM baton.sessions AS s
        WHERE s.owner >= p_dead AND s.owner <= p_dead
        ORDER BY s.owner, s.id
        LIMIT p_limit
        FOR UPDATE
    LOOP
        PERFORM baton.save(baton.orphan(head, at));
        freed := freed + 1;
    END LOOP;
    RETURN freed;
END $$;
