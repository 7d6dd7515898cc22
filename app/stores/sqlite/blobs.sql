-- name: put_blob
INSERT INTO blobs (tenant, sha256, touched_at, data) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, sha256) DO UPDATE SET touched_at = excluded.touched_at;

-- name: get_blob
SELECT data FROM blobs WHERE tenant = ? AND sha256 = ?;

-- name: name_blob
INSERT OR IGNORE INTO blob_names (session, tenant, sha256) VALUES (?, ?, ?);

-- name: touch_named_blobs
UPDATE blobs SET touched_at = ?
WHERE (tenant, sha256) IN (SELECT tenant, sha256 FROM blob_names WHERE session = ?);

-- name: delete_unnamed_blobs
DELETE FROM blobs
WHERE id IN (
    SELECT b.id FROM blobs AS b
    WHERE b.touched_at <= ?
        AND NOT EXISTS (SELECT 1 FROM blob_names AS n WHERE n.tenant = b.tenant AND n.sha256 = b.sha256)
    LIMIT ?
);
