"""The schema's versions: each file in `migrations/sqlite` takes the database from one to the next, forward only."""

from pathlib import Path

from app.core.errors import ConfigError
from app.stores.sqlite.queries import Queries

FOLDER = Path(__file__).resolve().parents[3] / "migrations" / "sqlite"


def migrate(queries: Queries, folder: Path = FOLDER) -> None:
    """The database has the newest schema. Raises ConfigError if it has one that this program does not know."""
    files = {int(file.name.partition("_")[0]): file for file in sorted(folder.glob("*.sql"))}
    current = (queries.row("schema_version") or (0,))[0]
    newest = max(files, default=0)
    if current > newest:
        raise ConfigError(
            f"BATON_STORE_URL: the database has schema {current}, this program knows {newest}; use a newer program"
        )
    for version, file in files.items():
        if version > current:
            queries.connection.executescript(f"BEGIN IMMEDIATE;\n{file.read_text(encoding='utf-8')}\nCOMMIT;")
