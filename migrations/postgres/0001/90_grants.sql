-- Functions are everybody's unless that is taken back.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA baton FROM PUBLIC;

GRANT USAGE ON SCHEMA baton TO baton_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA baton TO baton_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA baton TO baton_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA baton TO baton_app;
REVOKE INSERT, UPDATE, DELETE ON baton.schema_version FROM baton_app;
