-- name: leave_parcel
SELECT baton.leave_parcel_v1($1, $2);

-- name: collect_parcel
SELECT parcel FROM baton.collect_parcel_v1($1) AS parcel WHERE parcel IS NOT NULL;
