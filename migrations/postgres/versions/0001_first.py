"""The first schema: every file of `0001`, in the order of their names."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FOLDER = Path(__file__).resolve().parents[1] / revision


def upgrade() -> None:
    """The tables, functions and rights of the first schema are there."""
    connection = op.get_bind().connection
    for file in sorted(FOLDER.glob("*.sql")):
        script = file.read_text(encoding="utf-8")
        connection.run_async(lambda driver, script=script: driver.execute(script))
