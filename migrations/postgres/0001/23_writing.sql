-- How a change is stored: the records, what they mean outside their log, and the head.

CREATE FUNCTION baton.write(head baton.sessions, lines baton.line[], p_blobs text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    before bigint := head.seq - cardinality(lines);
BEGIN
    INSERT INTO baton.entries (session, seq, tenant, body)
    SELECT head.id, before + line.place, head.tenant, line.body
    FROM unnest(lines) WITH ORDINALITY AS line (kind, body, reader, run, title, status, input_id, place);
    PERFORM baton.index_runs(head, lines, before);
    IF cardinality(p_blobs) > 0 THEN
        PERFORM baton.name_blobs(head, p_blobs);
    END IF;
    PERFORM baton.save(head);
END $$;

-- The session names the blobs, which may come later. None of those that are there is collected meanwhile: whoever
-- collects takes no blob that is locked, and asks for names once it has the lock. In one order, for the sake of others
-- that lock several.
CREATE FUNCTION baton.name_blobs(head baton.sessions, p_blobs text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM baton.blobs AS b
    WHERE b.tenant = head.tenant AND b.sha256 = ANY (p_blobs)
    ORDER BY b.sha256
    FOR KEY SHARE;
    INSERT INTO baton.blob_names (session, sha256, tenant)
    SELECT head.id, name, head.tenant FROM unnest(p_blobs) AS name
    ON CONFLICT DO NOTHING;
END $$;

-- The row is the head.
CREATE FUNCTION baton.save(head baton.sessions) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE baton.sessions AS s SET
        updated_at = head.updated_at,
        seq = head.seq,
        title = head.title,
        min_reader = head.min_reader,
        epoch = head.epoch,
        nonce = head.nonce,
        owner = head.owner,
        orphaned = head.orphaned,
        commits = head.commits,
        active = head.active,
        cancelling = head.cancelling,
        suspended = head.suspended,
        steered = head.steered,
        queue = head.queue,
        attention = head.attention,
        ready_at = head.ready_at,
        last = head.last
    WHERE s.id = head.id;
END $$;

-- What records after seq `before` mean for the run index.
CREATE FUNCTION baton.index_runs(head baton.sessions, lines baton.line[], before bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    line baton.line;
    at bigint := before;
    begun text[] := '{}';
BEGIN
    FOREACH line IN ARRAY lines LOOP
        at := at + 1;
        CASE line.kind
            WHEN 'run.queued' THEN
                INSERT INTO baton.runs (tenant, run_id, session, first, stage)
                VALUES (
                    head.tenant, line.run, head.id, at, CASE WHEN head.active = line.run THEN 'active' ELSE 'queued' END
                );
                begun := begun || line.run;
            WHEN 'input.steered' THEN
                INSERT INTO baton.runs (tenant, run_id, session, first, last, stage, joined)
                VALUES (head.tenant, line.input_id, head.id, at, at, 'joined', line.run);
            WHEN 'run.started' THEN
                IF line.run <> ALL (begun) THEN
                    PERFORM baton.move_run(head, line.run, 'active', NULL);
                END IF;
            WHEN 'run.finished' THEN
                PERFORM baton.move_run(head, line.run, line.status, at);
            WHEN 'input.withdrawn' THEN
                PERFORM baton.move_run(head, line.run, 'cancelled', at);
            ELSE
                NULL;
        END CASE;
    END LOOP;
END $$;

-- The run reached another stage, if it is known.
CREATE FUNCTION baton.move_run(head baton.sessions, p_run text, p_stage text, p_last bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE baton.runs AS r SET stage = p_stage, last = p_last
    WHERE r.tenant = head.tenant AND r.run_id = p_run;
END $$;

-- The checkpoint is kept, and all but the two newest are gone.
CREATE FUNCTION baton.keep(head baton.sessions, p_seq bigint, p_version integer, p_state bytea) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO baton.checkpoints (session, seq, tenant, version, body)
    VALUES (head.id, p_seq, head.tenant, p_version, p_state)
    ON CONFLICT ON CONSTRAINT checkpoints_by_seq DO UPDATE SET version = excluded.version, body = excluded.body;
    DELETE FROM baton.checkpoints AS c
    WHERE c.session = head.id AND c.seq <= (
        SELECT kept.seq FROM baton.checkpoints AS kept
        WHERE kept.session = head.id
        ORDER BY kept.seq DESC
        LIMIT 1 OFFSET 2
    );
END $$;

-- Says whether a session of another tenant is ready. It looks at no more than two places of an index: only that index
-- has this order, so that the planner cannot mistake a scan of all sessions for something cheaper.
CREATE FUNCTION baton.contended(p_tenant text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM baton.sessions AS s
    WHERE s.ready_at IS NOT NULL AND s.tenant < p_tenant
    ORDER BY s.tenant, s.ready_at, s.id LIMIT 1;
    IF NOT found THEN
        PERFORM FROM baton.sessions AS s
        WHERE s.ready_at IS NOT NULL AND s.tenant > p_tenant
        ORDER BY s.tenant, s.ready_at, s.id LIMIT 1;
    END IF;
    RETURN found;
END $$;
