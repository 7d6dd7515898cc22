-- `commit`: a runner's records under its claim, once.

-- What became of it: `committed`, or `repeat`, its first answer again. Or nothing was written: it is `absent`, `stale`,
-- `regressed`, `unseen` or `corrupt`. `seqs` and `bodies`: for a repeat, all records after those that were seen; else
-- those before its own. `started`: the record that follows its own, if the session was handed over.
CREATE TYPE baton.committed AS (
    outcome text,
    seq bigint,
    status text,
    first bigint,
    handed_epoch bigint,
    handed_nonce text,
    started bytea,
    seqs bigint[],
    bodies bytea[],
    epoch bigint,
    commits integer
);

-- The records, one line each.
CREATE FUNCTION baton.lines(
    p_kinds text[], p_bodies bytea[], p_readers integer[], p_runs text[], p_titles text[], p_statuses text[],
    p_inputs text[]
) RETURNS baton.line[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    lines baton.line[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(p_kinds) LOOP
        lines := lines || ROW(
            p_kinds[i], p_bodies[i], p_readers[i], p_runs[i], p_titles[i], p_statuses[i], p_inputs[i]
        )::baton.line;
    END LOOP;
    RETURN lines;
END $$;

-- Why the commit is refused: `stale`, `regressed`, `unseen`; else NULL.
CREATE FUNCTION baton.commit_refusal(
    head baton.sessions, p_epoch bigint, p_nonce text, p_number integer, p_seen bigint, p_ends boolean
) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF head.owner IS NULL OR (head.epoch, head.nonce) <> (p_epoch, p_nonce) OR p_number <= head.commits THEN
        RETURN 'stale';
    ELSIF p_number > head.commits + 1 OR p_seen > head.seq THEN
        RETURN 'regressed';
    END IF;
    RETURN CASE WHEN p_ends AND head.attention > p_seen THEN 'unseen' END;
END $$;

-- Says whether that is the newest commit again.
CREATE FUNCTION baton.is_repeat(head baton.sessions, p_epoch bigint, p_nonce text, p_number integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN head.last @> jsonb_build_object(
        'claim', jsonb_build_object('epoch', p_epoch, 'nonce', p_nonce), 'number', p_number
    );
END $$;

-- The newest commit's first answer again.
CREATE FUNCTION baton.repeated(head baton.sessions, p_seen bigint) RETURNS baton.committed
LANGUAGE plpgsql STABLE AS $$
DECLARE
    reply baton.committed;
    page baton.page;
BEGIN
    reply.outcome := 'repeat';
    reply.seq := head.last -> 'last';
    reply.status := head.last ->> 'status';
    reply.first := head.last -> 'first';
    reply.handed_epoch := head.last -> 'handed' ->> 'epoch';
    reply.handed_nonce := head.last -> 'handed' ->> 'nonce';
    page := baton.records(head, p_seen, reply.seq - p_seen);
    reply.seqs := page.seqs;
    reply.bodies := page.bodies;
    RETURN reply;
END $$;

-- The head remembers what its newest commit is answered.
CREATE FUNCTION baton.answered(
    head baton.sessions, p_epoch bigint, p_nonce text, p_number integer, reply baton.committed
) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    handed jsonb;
BEGIN
    IF reply.handed_epoch IS NOT NULL THEN
        handed := jsonb_build_object('epoch', reply.handed_epoch, 'nonce', reply.handed_nonce);
    END IF;
    head.last := jsonb_build_object(
        'claim', jsonb_build_object('epoch', p_epoch, 'nonce', p_nonce), 'number', p_number,
        'first', reply.first, 'last', reply.seq, 'status', reply.status, 'handed', handed
    );
    RETURN head;
END $$;

CREATE FUNCTION baton.commit_v1(
    p_tenant text,
    p_digest text,
    p_now double precision,
    p_epoch bigint,
    p_nonce text,
    p_number integer,
    p_seen bigint,
    p_kinds text[],
    p_bodies bytea[],
    p_readers integer[],
    p_runs text[],
    p_titles text[],
    p_statuses text[],
    p_inputs text[],
    p_blobs text[],
    p_release boolean,
    p_heir text,
    p_heir_nonce text,
    p_heir_reader integer,
    p_start_before bytea,
    p_start_middle bytea,
    p_start_after bytea,
    p_checkpoint bigint,
    p_version integer,
    p_state bytea
) RETURNS baton.committed
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at double precision;
    heir baton.claimant := ROW(
        p_heir, p_heir_nonce, p_heir_reader, p_start_before, p_start_middle, p_start_after
    );
    lines baton.line[] := baton.lines(p_kinds, p_bodies, p_readers, p_runs, p_titles, p_statuses, p_inputs);
    head baton.sessions;
    change baton.change;
    page baton.page;
    reply baton.committed;
BEGIN
    PERFORM baton.enter(p_tenant);
    head := baton.lock(p_digest);
    IF head.id IS NULL THEN
        reply.outcome := 'absent';
        RETURN reply;
    ELSIF baton.is_repeat(head, p_epoch, p_nonce, p_number) THEN
        RETURN baton.repeated(head, p_seen);
    END IF;
    reply.outcome := baton.commit_refusal(
        head, p_epoch, p_nonce, p_number, p_seen, p_release OR 'run.finished' = ANY (p_kinds)
    );
    IF reply.outcome IN ('stale', 'regressed') THEN
        reply.seq := head.seq;
        reply.epoch := head.epoch;
        reply.commits := head.commits;
        RETURN reply;
    END IF;
    page := baton.records(head, p_seen, head.seq);
    reply.seqs := page.seqs;
    reply.bodies := page.bodies;
    IF page.seqs IS NOT NULL AND NOT baton.is_readable(page) THEN
        reply.outcome := 'corrupt';
    END IF;
    IF reply.outcome IS NOT NULL THEN
        RETURN reply;
    END IF;
    at := baton.moment(p_now);
    reply.outcome := 'committed';
    reply.first := head.seq + 1;
    IF p_checkpoint = p_seen + cardinality(lines) AND p_seen = head.seq THEN
        PERFORM baton.keep(head, p_checkpoint, p_version, p_state);
    END IF;
    change := ROW(baton.append(head, lines, at), lines);
    change.head.commits := p_number;
    IF p_release THEN
        change.head := baton.let_go(change.head, at);
        IF (change.head).active IS NULL AND cardinality((change.head).queue) > 0
            AND baton.can_run(heir, change.head) AND NOT baton.contended(p_tenant)
        THEN
            change := baton.adopt(change.head, heir, at, lines);
            reply.started := change.lines[cardinality(change.lines)].body;
            reply.handed_epoch := (change.head).epoch;
            reply.handed_nonce := (change.head).nonce;
        END IF;
    END IF;
    reply.seq := (change.head).seq;
    reply.status := baton.status(change.head);
    change.head := baton.answered(change.head, p_epoch, p_nonce, p_number, reply);
    PERFORM baton.write(change.head, change.lines, p_blobs);
    RETURN reply;
END $$;
