"""${message}: every file of `${up_revision}`, in the order of their names."""

from pathlib import Path

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None

FOLDER = Path(__file__).resolve().parents[1] / revision


def upgrade() -> None:
    """Says what is true of the schema afterwards."""
    connection = op.get_bind().connection
    for file in sorted(FOLDER.glob("*.sql")):
        script = file.read_text(encoding="utf-8")
        connection.run_async(lambda driver, script=script: driver.execute(script))
