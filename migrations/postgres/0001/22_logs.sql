-- What all transactions of a session have in common: its row under lock, its log read and written.

-- Records in the log's order; NULL for none.
CREATE TYPE baton.page AS (
    seqs bigint[],
    bodies bytea[]
);

-- The newest usable checkpoint, and all records after it.
CREATE TYPE baton.tail AS (
    checkpoint bigint,
    version integer,
    state bytea,
    page baton.page
);

-- The store's own clock decides. Only a test gives the time.
CREATE FUNCTION baton.moment(p_now double precision) RETURNS double precision
LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce(p_now, extract(epoch FROM clock_timestamp())::double precision);
END $$;

-- Row-level security shows this tenant's rows, until the transaction ends.
CREATE FUNCTION baton.enter(p_tenant text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('baton.tenant', p_tenant, true);
END $$;

-- The head, locked until the transaction ends; a row of NULLs if there is no such session.
CREATE FUNCTION baton.lock(p_digest text) RETURNS baton.sessions
LANGUAGE plpgsql AS $$
DECLARE
    head baton.sessions;
BEGIN
    SELECT * INTO head FROM baton.sessions AS s WHERE s.digest = p_digest FOR UPDATE;
    RETURN head;
END $$;

-- The head, locked, of a log that may begin now; NULL if that very log was deleted before.
--
-- The tombstone is looked for once the key is taken: whoever deletes the session meanwhile has left it by then.
CREATE FUNCTION baton.open(
    p_tenant text, p_user text, p_agent text, p_session text, p_digest text, p_birth text, p_now double precision
) RETURNS baton.sessions
LANGUAGE plpgsql AS $$
DECLARE
    head baton.sessions;
    at double precision;
BEGIN
    LOOP
        head := baton.lock(p_digest);
        IF head.id IS NOT NULL THEN
            RETURN head;
        END IF;
        at := baton.moment(p_now);
        INSERT INTO baton.sessions (tenant, usr, agent, session, digest, partition, birth, created_at, updated_at)
        VALUES (
            p_tenant, p_user, p_agent, p_session, p_digest, get_byte(decode(p_digest, 'hex'), 0), p_birth, at, at
        )
        ON CONFLICT DO NOTHING
        RETURNING * INTO head;
        CONTINUE WHEN head.id IS NULL;
        IF NOT baton.is_erased(p_digest, p_birth) THEN
            RETURN head;
        END IF;
        DELETE FROM baton.sessions AS s WHERE s.id = head.id;
        RETURN NULL;
    END LOOP;
END $$;

CREATE FUNCTION baton.is_erased(p_digest text, p_birth text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM baton.tombstones AS t WHERE t.digest = p_digest AND t.birth = p_birth);
END $$;

-- Up to `p_limit` records after a seq.
CREATE FUNCTION baton.records(head baton.sessions, p_after bigint, p_limit bigint) RETURNS baton.page
LANGUAGE plpgsql STABLE AS $$
DECLARE
    page baton.page;
BEGIN
    IF p_after < head.seq AND p_limit > 0 THEN
        SELECT array_agg(e.seq), array_agg(e.body) INTO page.seqs, page.bodies
        FROM (
            SELECT seq, body FROM baton.entries
            WHERE session = head.id AND seq > p_after
            ORDER BY seq
            LIMIT p_limit
        ) AS e;
    END IF;
    RETURN page;
END $$;

-- The newest checkpoint that fold `p_version` can read, and all records after it.
CREATE FUNCTION baton.load(head baton.sessions, p_version integer) RETURNS baton.tail
LANGUAGE plpgsql STABLE AS $$
DECLARE
    tail baton.tail;
BEGIN
    IF head.seq > 0 THEN
        SELECT c.seq, c.version, c.body INTO tail.checkpoint, tail.version, tail.state
        FROM baton.checkpoints AS c
        WHERE c.session = head.id AND c.version = p_version
        ORDER BY c.seq DESC
        LIMIT 1;
    END IF;
    tail.page := baton.records(head, coalesce(tail.checkpoint, 0), head.seq);
    RETURN tail;
END $$;

-- Says whether every record is JSON. What is not must be found before anything is written.
CREATE FUNCTION baton.is_readable(page baton.page) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM count(convert_from(body, 'UTF8')::json) FROM unnest(page.bodies) AS body;
    RETURN true;
EXCEPTION
    WHEN data_exception THEN
        RETURN false;
END $$;

-- The page with those records, the last of which is at `p_last`.
CREATE FUNCTION baton.extended(page baton.page, lines baton.line[], p_last bigint) RETURNS baton.page
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    page.seqs := page.seqs || ARRAY(SELECT generate_series(p_last - cardinality(lines) + 1, p_last));
    page.bodies := page.bodies || ARRAY(SELECT line.body FROM unnest(lines) AS line);
    RETURN page;
END $$;
