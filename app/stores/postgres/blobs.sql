-- name: put_blob_v1
SELECT baton.put_blob_v1($1, $2, $3, $4);

-- name: get_blob_v1
SELECT data FROM baton.get_blob_v1($1, $2) AS data;

-- name: collect_blobs_v1
SELECT looked, collected FROM baton.collect_blobs_v1($1, $2, $3, $4);
