"""A real PgBouncer in transaction mode: many clients on few connections to the server."""

import atexit
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown, rmtree
from tempfile import mkdtemp

import psycopg

from tests.support.services.binaries import Program, binary, eventually, free_port
from tests.support.services.postgres import ACCOUNT, LOGIN, OWNER, PostgresDatabase, PostgresServer, as_account, run

SERVER_CONNECTIONS = 3


class PgBouncer:
    """A transaction pooler before one server."""

    def __init__(self, server: PostgresServer, connections: int = SERVER_CONNECTIONS) -> None:
        self.folder = Path(mkdtemp(prefix="baton-pgb-"))
        self.port = free_port()
        self._write(server, connections)
        command = [*as_account("--pdeathsig", "TERM"), binary("pgbouncer"), "-q", str(self.folder / "conf")]
        self._process = Program(command, self.folder / "log")
        atexit.register(self.close)
        eventually(self._answers, "PgBouncer does not answer")

    def url(self, database: PostgresDatabase, role: str = LOGIN) -> str:
        """Gives the address of the database that leads through the pooler."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database.name}"

    def kill(self) -> None:
        """The pooler is gone, and with it every connection through it."""
        self._process.signal(signal.SIGTERM)
        eventually(lambda: not self._process.running, "PgBouncer does not stop")
        self._process.kill()  # it has ended; nobody needs to end it when this process does

    def close(self) -> None:
        """Nothing is left of the pooler."""
        atexit.unregister(self.close)
        if self._process.running:
            self.kill()
        rmtree(self.folder, ignore_errors=True)

    def _write(self, server: PostgresServer, connections: int) -> None:
        users = self.folder / "users"
        users.write_text("".join(f'"{name}" ""\n' for name in (LOGIN, OWNER)))
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={server.port}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {users}",
            f"admin_users = {OWNER}",
            "pool_mode = transaction",
            "max_client_conn = 500",
            f"default_pool_size = {connections}",
        ]
        (self.folder / "conf").write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            self.folder.chmod(0o755)
            chown(self.folder, ACCOUNT, ACCOUNT)

    def _answers(self) -> bool:
        try:
            return bool(run(f"postgresql://{OWNER}@127.0.0.1:{self.port}/pgbouncer", "SHOW VERSION"))
        except psycopg.OperationalError:
            return False


@contextmanager
def pooling(server: PostgresServer, connections: int = SERVER_CONNECTIONS) -> Generator[PgBouncer]:
    """Gives a pooler that keeps that many connections to the server for a database and role."""
    pooler = PgBouncer(server, connections)
    try:
        yield pooler
    finally:
        pooler.close()
