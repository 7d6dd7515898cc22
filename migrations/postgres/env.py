"""What Alembic runs: every revision that the database lacks, in one transaction, one migration at a time."""

from pathlib import Path

from alembic import context
from sqlalchemy import Connection

PREPARE = Path(__file__).resolve().with_name("prepare.sql")


def upgrade(connection: Connection) -> None:
    """The database has the newest schema, or is unchanged."""
    context.configure(connection=connection, version_table="schema_version", version_table_schema="baton")
    with context.begin_transaction():
        for statement in PREPARE.read_text(encoding="utf-8").split(";\n"):
            connection.exec_driver_sql(statement)
        context.run_migrations()


upgrade(context.config.attributes["connection"])
