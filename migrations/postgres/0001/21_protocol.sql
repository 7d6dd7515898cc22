-- The claim protocol of `app/stores/head.py`, function by function, under the same names. These decide; none writes.

-- A record, as `app/stores/remote/lines.py` prepares it.
CREATE TYPE baton.line AS (
    kind text,
    body bytea,
    reader integer,
    run text,
    title text,
    status text,
    input_id text
);

-- The owner to be. The last three are `run.started` around its run id and epoch; NULL if it could not start the run.
CREATE TYPE baton.claimant AS (
    incarnation text,
    nonce text,
    reader integer,
    before bytea,
    middle bytea,
    after bytea
);

-- What is to be written: the head, and the records after the old one's seq.
CREATE TYPE baton.change AS (
    head baton.sessions,
    lines baton.line[]
);

CREATE FUNCTION baton.status(head baton.sessions) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE
        WHEN head.owner IS NOT NULL THEN 'owned'
        WHEN head.active IS NOT NULL AND head.suspended THEN 'suspended'
        WHEN head.active IS NOT NULL OR cardinality(head.queue) > 0 THEN 'ready'
        ELSE 'idle'
    END;
END $$;

CREATE FUNCTION baton.can_run(claimant baton.claimant, head baton.sessions) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN claimant.incarnation IS NOT NULL
        AND claimant.reader >= head.min_reader
        AND (head.active IS NOT NULL OR claimant.before IS NOT NULL);
END $$;

CREATE FUNCTION baton.mark_ready(head baton.sessions, at double precision) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    head.ready_at := CASE WHEN baton.status(head) = 'ready' THEN coalesce(head.ready_at, at) END;
    RETURN head;
END $$;

CREATE FUNCTION baton.turn_to(head baton.sessions, run text) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    head.active := run;
    head.cancelling := false;
    head.suspended := false;
    head.steered := 0;
    RETURN head;
END $$;

-- What a record of the active run changes. The head's seq is the record's.
CREATE FUNCTION baton.advance_run(head baton.sessions, line baton.line) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF head.active IS NULL OR head.active IS DISTINCT FROM line.run THEN
        RETURN head;
    END IF;
    CASE line.kind
        WHEN 'run.finished' THEN
            head := baton.turn_to(head, NULL);
        WHEN 'run.suspended' THEN
            head.suspended := true;
        WHEN 'run.resumed' THEN
            head.suspended := false;
        WHEN 'run.cancel_requested' THEN
            head.cancelling := true;
            head.suspended := false;
            head.attention := head.seq;
        WHEN 'input.steered' THEN
            head.steered := head.steered + 1;
            head.suspended := false;
            head.attention := head.seq;
        WHEN 'approval.resolved' THEN
            head.suspended := false;
            head.attention := head.seq;
        ELSE
            NULL;
    END CASE;
    RETURN head;
END $$;

CREATE FUNCTION baton.advance(head baton.sessions, line baton.line) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    CASE line.kind
        WHEN 'session.created', 'state.patched' THEN
            head.title := coalesce(line.title, head.title);
        WHEN 'run.queued' THEN
            head.queue := head.queue || line.run;
        WHEN 'run.started' THEN
            head := baton.turn_to(head, line.run);
            head.queue := array_remove(head.queue, line.run);
        WHEN 'input.withdrawn' THEN
            head.queue := array_remove(head.queue, line.run);
        ELSE
            head := baton.advance_run(head, line);
    END CASE;
    RETURN head;
END $$;

CREATE FUNCTION baton.append(head baton.sessions, lines baton.line[], at double precision) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    line baton.line;
BEGIN
    FOREACH line IN ARRAY lines LOOP
        head.seq := head.seq + 1;
        head := baton.advance(head, line);
        head.min_reader := greatest(head.min_reader, line.reader);
    END LOOP;
    head.updated_at := at;
    RETURN baton.mark_ready(head, at);
END $$;

-- A template's hole, filled with a text as JSON.
CREATE FUNCTION baton.fill(before bytea, hole text, after bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN before || convert_to(to_json(hole)::text, 'UTF8') || after;
END $$;

CREATE FUNCTION baton.adopt(
    head baton.sessions, claimant baton.claimant, at double precision, before baton.line[]
) RETURNS baton.change
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    start baton.line;
BEGIN
    head.epoch := head.epoch + 1;
    head.nonce := claimant.nonce;
    head.owner := claimant.incarnation;
    head.orphaned := false;
    head.commits := 0;
    head.ready_at := NULL;
    IF head.active IS NULL THEN
        start.kind := 'run.started';
        start.run := head.queue[1];
        start.body := baton.fill(claimant.before, start.run, claimant.middle)
            || convert_to(head.epoch::text, 'UTF8') || claimant.after;
        head := baton.append(head, ARRAY[start], at);
        before := before || start;
    END IF;
    RETURN ROW(head, before)::baton.change;
END $$;

-- Says whether the claimant may have the session: it is ready, or lost by the claimant's own incarnation. Which nonces
-- that holds is its own affair: it has asked for this session.
CREATE FUNCTION baton.is_adoptable(head baton.sessions, claimant baton.claimant) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN baton.can_run(claimant, head)
        AND (head.active IS NOT NULL OR cardinality(head.queue) > 0)
        AND (baton.status(head) = 'ready' OR head.owner = claimant.incarnation);
END $$;

CREATE FUNCTION baton.let_go(head baton.sessions, at double precision) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    head.owner := NULL;
    head.nonce := '';
    head.commits := 0;
    RETURN baton.mark_ready(head, at);
END $$;

CREATE FUNCTION baton.orphan(head baton.sessions, at double precision) RETURNS baton.sessions
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    head := baton.let_go(head, at);
    head.epoch := head.epoch + 1;
    head.orphaned := true;
    RETURN head;
END $$;
