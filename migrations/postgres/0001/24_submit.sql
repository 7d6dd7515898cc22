-- `submit`: recognised if it came before, else admitted by its policy, and the session claimed if it is idle.

-- An input with what it may become, as `app/stores/remote/lines.py` drafts it.
CREATE TYPE baton.draft AS (
    run text,
    policy text,
    title text,
    created bytea,
    queued bytea,
    steered_before bytea,
    steered_after bytea,
    cancel_before bytea,
    cancel_after bytea
);

-- What became of it: `claimed`, `queued`, `joined` or `attached`. Or nothing was written: it is `erased`, `mismatch`,
-- `busy`, `crowded`, `full` or `corrupt`. From `head` on only what a claim comes with.
CREATE TYPE baton.submitted AS (
    outcome text,
    run_id text,
    first bigint,
    birth text,
    ready boolean,
    head json,
    checkpoint bigint,
    version integer,
    state bytea,
    seqs bigint[],
    bodies bytea[]
);

-- Says whether an input may join the active run, or cancel it.
CREATE FUNCTION baton.is_steerable(head baton.sessions) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN head.active IS NOT NULL AND NOT head.cancelling;
END $$;

-- Why the input is not admitted: `busy`, `crowded` (too many joined the run), `full` (too many wait); else NULL.
CREATE FUNCTION baton.refusal(head baton.sessions, p_policy text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_policy = 'reject' AND baton.status(head) <> 'idle' THEN
        RETURN 'busy';
    ELSIF p_policy = 'steer' AND baton.is_steerable(head) THEN
        RETURN CASE WHEN head.steered >= 256 THEN 'crowded' END;
    END IF;
    RETURN CASE WHEN cardinality(head.queue) >= 32 THEN 'full' END;
END $$;

CREATE FUNCTION baton.admit(head baton.sessions, draft baton.draft, at double precision) RETURNS baton.change
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    lines baton.line[] := '{}';
    body bytea;
BEGIN
    IF draft.policy = 'steer' AND baton.is_steerable(head) THEN
        body := baton.fill(draft.steered_before, head.active, draft.steered_after);
        lines := ARRAY[ROW('input.steered', body, 1, head.active, NULL, NULL, draft.run)::baton.line];
        RETURN ROW(baton.append(head, lines, at), lines)::baton.change;
    END IF;
    IF head.seq = 0 THEN
        lines := lines || ROW('session.created', draft.created, 1, NULL, draft.title, NULL, NULL)::baton.line;
    END IF;
    IF draft.policy = 'interrupt' AND baton.is_steerable(head) THEN
        body := baton.fill(draft.cancel_before, head.active, draft.cancel_after);
        lines := lines || ROW('run.cancel_requested', body, 1, head.active, NULL, NULL, NULL)::baton.line;
    END IF;
    lines := lines || ROW('run.queued', draft.queued, 1, draft.run, NULL, NULL, NULL)::baton.line;
    RETURN ROW(baton.append(head, lines, at), lines)::baton.change;
END $$;

-- What the session's idempotency key was used for within a day; a row of NULLs if it was not.
CREATE FUNCTION baton.remembered(head baton.sessions, p_idempotency text, p_at double precision) RETURNS baton.requests
LANGUAGE plpgsql STABLE AS $$
DECLARE
    request baton.requests;
BEGIN
    IF p_idempotency IS NOT NULL THEN
        SELECT * INTO request FROM baton.requests AS r
        WHERE r.session = head.id AND r.idempotency_key = p_idempotency AND p_at - r.at < 24 * 3600;
    END IF;
    RETURN request;
END $$;

-- The run of that id, which says whose it is; a row of NULLs if there is none.
CREATE FUNCTION baton.run_of(head baton.sessions, p_run text) RETURNS baton.runs
LANGUAGE plpgsql STABLE AS $$
DECLARE
    run baton.runs;
BEGIN
    SELECT * INTO run FROM baton.runs AS r WHERE r.tenant = head.tenant AND r.run_id = p_run;
    RETURN run;
END $$;

-- The idempotency key is remembered, and all but the 256 newest of the session are gone.
CREATE FUNCTION baton.remember(
    head baton.sessions, p_idempotency text, p_run text, p_fingerprint text, p_seq bigint, p_at double precision
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO baton.requests AS r (session, idempotency_key, tenant, run_id, fingerprint, seq, at)
    VALUES (head.id, p_idempotency, head.tenant, p_run, p_fingerprint, p_seq, p_at)
    ON CONFLICT ON CONSTRAINT requests_by_key DO UPDATE
    SET run_id = excluded.run_id, fingerprint = excluded.fingerprint, seq = excluded.seq, at = excluded.at;
    DELETE FROM baton.requests AS r
    WHERE r.session = head.id AND r.seq <= (
        SELECT kept.seq FROM baton.requests AS kept
        WHERE kept.session = head.id
        ORDER BY kept.seq DESC
        LIMIT 1 OFFSET 256
    );
END $$;

-- The reply that gives a claim.
CREATE FUNCTION baton.claimed(head baton.sessions, p_run text, p_first bigint, tail baton.tail) RETURNS baton.submitted
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ROW(
        'claimed', p_run, p_first, head.birth, false, row_to_json(head), tail.checkpoint, tail.version, tail.state,
        (tail.page).seqs, (tail.page).bodies
    )::baton.submitted;
END $$;

-- The claim again for whom it was given to, and for everybody else the run to follow.
CREATE FUNCTION baton.again(
    head baton.sessions, run baton.runs, p_incarnation text, p_nonce text, p_version integer
) RETURNS baton.submitted
LANGUAGE plpgsql STABLE AS $$
DECLARE
    reply baton.submitted;
BEGIN
    IF head.owner = p_incarnation AND head.nonce = p_nonce AND head.active = run.run_id THEN
        RETURN baton.claimed(head, run.run_id, run.first, baton.load(head, p_version));
    END IF;
    reply.outcome := 'attached';
    reply.run_id := coalesce(run.joined, run.run_id);
    reply.first := run.first;
    reply.birth := head.birth;
    RETURN reply;
END $$;

-- The reply to an input that is to be written, and to claim nothing. Its record is the change's last.
CREATE FUNCTION baton.accepted(head baton.sessions, line baton.line) RETURNS baton.submitted
LANGUAGE plpgsql STABLE AS $$
DECLARE
    reply baton.submitted;
BEGIN
    reply.outcome := CASE line.kind WHEN 'input.steered' THEN 'joined' ELSE 'queued' END;
    reply.run_id := line.run;
    reply.first := head.seq;
    reply.birth := head.birth;
    reply.ready := baton.status(head) = 'ready';
    RETURN reply;
END $$;

CREATE FUNCTION baton.submit_v1(
    p_tenant text,
    p_user text,
    p_agent text,
    p_session text,
    p_digest text,
    p_now double precision,
    p_version integer,
    p_run text,
    p_policy text,
    p_birth text,
    p_title text,
    p_idempotency text,
    p_fingerprint text,
    p_created bytea,
    p_queued bytea,
    p_steered_before bytea,
    p_steered_after bytea,
    p_cancel_before bytea,
    p_cancel_after bytea,
    p_blobs text[],
    p_incarnation text,
    p_nonce text,
    p_reader integer,
    p_start_before bytea,
    p_start_middle bytea,
    p_start_after bytea
) RETURNS baton.submitted
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at double precision;
    claimant baton.claimant := ROW(p_incarnation, p_nonce, p_reader, p_start_before, p_start_middle, p_start_after);
    draft baton.draft := ROW(
        p_run, p_policy, p_title, p_created, p_queued,
        p_steered_before, p_steered_after, p_cancel_before, p_cancel_after
    );
    head baton.sessions;
    request baton.requests;
    known baton.runs;
    change baton.change;
    tail baton.tail;
    reply baton.submitted;
BEGIN
    PERFORM baton.enter(p_tenant);
    head := baton.open(p_tenant, p_user, p_agent, p_session, p_digest, p_birth, p_now);
    IF head.id IS NULL THEN
        reply.outcome := 'erased';
        RETURN reply;
    END IF;
    at := baton.moment(p_now);
    request := baton.remembered(head, p_idempotency, at);
    IF request.fingerprint <> p_fingerprint THEN
        reply.outcome := 'mismatch';
        RETURN reply;
    END IF;
    known := baton.run_of(head, coalesce(request.run_id, p_run));
    IF known.run_id IS NOT NULL THEN
        RETURN baton.again(head, known, p_incarnation, p_nonce, p_version);
    END IF;
    reply.outcome := baton.refusal(head, p_policy);
    IF reply.outcome IS NOT NULL THEN
        reply.run_id := coalesce(head.active, head.queue[1], p_run);
        RETURN reply;
    END IF;
    change := baton.admit(head, draft, at);
    reply := baton.accepted(change.head, change.lines[cardinality(change.lines)]);
    IF baton.status(head) = 'idle' AND baton.can_run(claimant, change.head) AND NOT baton.contended(p_tenant) THEN
        tail := baton.load(head, p_version);
        IF NOT baton.is_readable(tail.page) THEN
            reply.outcome := 'corrupt';
            RETURN reply;
        END IF;
        change := baton.adopt(change.head, claimant, at, change.lines);
        tail.page := baton.extended(tail.page, change.lines, (change.head).seq);
        reply := baton.claimed(change.head, p_run, reply.first, tail);
    END IF;
    PERFORM baton.write(change.head, change.lines, p_blobs);
    IF p_idempotency IS NOT NULL THEN
        PERFORM baton.remember(change.head, p_idempotency, p_run, p_fingerprint, reply.first, at);
    END IF;
    RETURN reply;
END $$;
