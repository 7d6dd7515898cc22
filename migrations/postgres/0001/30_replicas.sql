-- Who is alive, who was declared dead, who has left. A name that is here never lives again.
CREATE TABLE baton.replicas (
    incarnation text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('live', 'buried', 'forgotten')),
    beats bigint NOT NULL,
    beat_at double precision NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX replicas_by_state ON baton.replicas (state) WHERE state <> 'forgotten';

-- True, and the incarnation has beaten now; or false: it was declared dead, or has left.
CREATE FUNCTION baton.beat_v1(p_incarnation text, p_now double precision) RETURNS boolean
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    INSERT INTO baton.replicas AS r (incarnation, state, beats, beat_at)
    VALUES (p_incarnation, 'live', 1, coalesce(p_now, extract(epoch FROM clock_timestamp())))
    ON CONFLICT (incarnation) DO UPDATE SET beats = r.beats + 1, beat_at = excluded.beat_at
    WHERE r.state = 'live';
    RETURN found;
END
$$;

CREATE FUNCTION baton.live_v1(p_now double precision)
RETURNS TABLE (incarnation text, beats bigint, age double precision)
LANGUAGE sql STABLE
SET search_path = baton, pg_temp
AS $$
    SELECT r.incarnation, r.beats, coalesce(p_now, extract(epoch FROM clock_timestamp())) - r.beat_at AS age
    FROM baton.replicas AS r
    WHERE r.state = 'live'
    ORDER BY r.beat_at, r.incarnation;
$$;

-- True if the incarnation is buried: now, because that was its newest beat, or since before.
CREATE FUNCTION baton.bury_v1(p_incarnation text, p_beats bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
BEGIN
    UPDATE baton.replicas SET state = 'buried'
    WHERE incarnation = p_incarnation AND (state = 'buried' OR (state = 'live' AND beats = p_beats));
    RETURN found;
END
$$;

CREATE FUNCTION baton.buried_v1() RETURNS SETOF text
LANGUAGE sql STABLE
SET search_path = baton, pg_temp
AS $$
    SELECT incarnation FROM baton.replicas WHERE state = 'buried' ORDER BY incarnation;
$$;

-- The name is kept for a month, much longer than its process could sleep and still believe in its claims.
CREATE FUNCTION baton.forget_v1(p_incarnation text, p_now double precision) RETURNS void
LANGUAGE plpgsql
SET search_path = baton, pg_temp
AS $$
DECLARE
    at double precision := coalesce(p_now, extract(epoch FROM clock_timestamp()));
BEGIN
    INSERT INTO baton.replicas (incarnation, state, beats, beat_at) VALUES (p_incarnation, 'forgotten', 0, at)
    ON CONFLICT (incarnation) DO UPDATE SET state = 'forgotten', beat_at = at;
    DELETE FROM baton.replicas WHERE state = 'forgotten' AND beat_at < at - 30 * 86400.0;
END
$$;
