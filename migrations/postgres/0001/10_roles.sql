-- The role that serves. It owns nothing; a deployment lets its login in by GRANT baton_app TO its_login.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'baton_app') THEN
        CREATE ROLE baton_app NOLOGIN;
    END IF;
EXCEPTION
    -- Another database of the same server was migrated at the same moment.
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'it cannot create the role baton_app; a superuser must run: CREATE ROLE baton_app NOLOGIN';
END
$$;
