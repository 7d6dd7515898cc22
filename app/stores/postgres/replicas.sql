-- name: beat_v1
SELECT baton.beat_v1($1, $2) AS alive;

-- name: live_v1
SELECT incarnation, beats, age FROM baton.live_v1($1);

-- name: bury_v1
SELECT baton.bury_v1($1, $2) AS buried;

-- name: buried_v1
SELECT incarnation FROM baton.buried_v1() AS incarnation;

-- name: forget_v1
SELECT baton.forget_v1($1, $2);
