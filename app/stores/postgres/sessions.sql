-- name: submit_v1
SELECT outcome, run_id, first, birth, ready, head, checkpoint, version, state, seqs, bodies
FROM baton.submit_v1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26
);

-- name: commit_v1
SELECT outcome, seq, status, first, handed_epoch, handed_nonce, started, seqs, bodies, epoch, commits
FROM baton.commit_v1(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25
);

-- name: append_v1
SELECT outcome, seq, seqs, bodies
FROM baton.append_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- name: read_v1
SELECT head, checkpoint, version, state, seqs, bodies FROM baton.read_v1($1, $2, $3, $4, $5);

-- name: list_v1
SELECT agent, session, birth, seq, title, status, created_at, updated_at FROM baton.list_v1($1, $2, $3, $4, $5, $6);

-- name: delete_v1
SELECT baton.delete_v1($1, $2, $3) AS deleted;

-- name: find_v1
SELECT usr, agent, session, birth, first, last, stage, joined FROM baton.find_v1($1, $2);

-- name: peek_v1
SELECT place, head FROM baton.peek_v1($1, $2);

-- name: candidates_v1
SELECT own, tenant, usr, agent, session, running, head FROM baton.candidates_v1($1, $2, $3, $4, $5);

-- name: adopt_v1
SELECT orphaned, head, seqs, bodies
FROM baton.adopt_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: sweep_v1
SELECT baton.sweep_v1($1, $2, $3) AS freed;
