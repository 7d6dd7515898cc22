CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    agent TEXT NOT NULL,
    session TEXT NOT NULL,
    birth TEXT NOT NULL,
    created_at REAL NOT NULL,
    -- The next three repeat what the head says, for the indexes below.
    owner TEXT,
    nonce TEXT NOT NULL,
    ready_at REAL,
    head BLOB NOT NULL,
    UNIQUE (tenant, user, agent, session)
);
CREATE INDEX sessions_by_age ON sessions (tenant, user, created_at, session);
CREATE INDEX sessions_ready ON sessions (tenant, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX sessions_owned ON sessions (owner, nonce, tenant) WHERE owner IS NOT NULL;

CREATE TABLE entries (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (session, seq)
) WITHOUT ROWID;

CREATE TABLE checkpoints (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (session, seq)
);

CREATE TABLE runs (
    tenant TEXT NOT NULL,
    run_id TEXT NOT NULL,
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    first INTEGER NOT NULL,
    last INTEGER,
    stage TEXT NOT NULL,
    joined TEXT,
    PRIMARY KEY (tenant, run_id)
) WITHOUT ROWID;
CREATE INDEX runs_by_session ON runs (session);

CREATE TABLE requests (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    idempotency_key TEXT NOT NULL,
    run_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (session, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX requests_by_seq ON requests (session, seq);

CREATE TABLE tombstones (
    digest TEXT NOT NULL,
    birth TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (digest, birth)
) WITHOUT ROWID;

CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    touched_at REAL NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (tenant, sha256)
);
CREATE INDEX blobs_by_age ON blobs (touched_at);

CREATE TABLE blob_names (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    tenant TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (session, sha256)
) WITHOUT ROWID;
CREATE INDEX blob_names_by_blob ON blob_names (tenant, sha256);

-- AUTOINCREMENT never gives a number twice, so that a version outlives its value.
CREATE TABLE keyvalue (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (tenant, key)
);

CREATE TABLE replicas (
    incarnation TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('live', 'buried', 'forgotten'))
) WITHOUT ROWID;
CREATE INDEX replicas_by_state ON replicas (state, incarnation);

PRAGMA user_version = 1;
