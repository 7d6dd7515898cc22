"""Real PostgreSQL servers for tests: one per process that all share, others of a test's own.

A test gets a database of its own, copied from one that was migrated once. Its roles are those that a deployment has:
the server's login, which owns nothing; the owner, who migrates; and the superuser, who looks into everything.
"""

import atexit
import os
import signal
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from shutil import chown, rmtree
from tempfile import mkdtemp
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from tests.support.services.binaries import Program, binary, eventually, free_port

BINARIES = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"
"""The system's account that it runs under, for it refuses to be root."""
LOGIN, OWNER, SUPERUSER = "baton_server", "baton_owner", "postgres"
ATTEMPTS = 5

VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
BOUNDED = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "autovacuum": "off",
    "log_min_messages": "error",
}


class PostgresDatabase:
    """One database, and the address that each role uses."""

    def __init__(self, server: "PostgresServer", name: str) -> None:
        self.server = server
        self.name = name
        self.url = server.url(name, LOGIN)
        self.owner_url = server.url(name, OWNER)
        self.superuser_url = server.url(name, SUPERUSER)

    def run(self, statement: LiteralString, *arguments: Any) -> list[tuple[Any, ...]]:
        """Runs a statement as the superuser; gives its rows."""
        return run(self.superuser_url, statement, *arguments)


class PostgresServer:
    """A server. `start` after `stop` or `kill` is a restart: the same address, and what was durable."""

    def __init__(self, *, durable: bool = False, **config: str) -> None:
        self.folder = Path(mkdtemp(prefix="baton-pg-"))
        self.port = 0
        self._config = BOUNDED | ({} if durable else VOLATILE) | config
        self._numbers = count(1)
        self._running: Program | None = None
        if os.getuid() == 0:
            self.folder.chmod(0o755)
            chown(self.folder, ACCOUNT, ACCOUNT)
        self._initialise()
        self.start()
        run(self.url("postgres"), "CREATE ROLE baton_owner LOGIN CREATEROLE")
        run(self.url("postgres"), "CREATE ROLE baton_server LOGIN")

    @property
    def log(self) -> str:
        """Gives what it wrote."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    def url(self, database: str, role: str = SUPERUSER) -> str:
        """Gives the address of a database for a role."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def database(self, *, migrated: bool = True) -> PostgresDatabase:
        """Gives a new database: with the newest schema, or empty and the owner's."""
        return self._create(f"baton_{next(self._numbers)}", self.template if migrated else "template1")

    @cached_property
    def template(self) -> str:
        """Gives the name of the database that migrated ones are copies of."""
        from app.stores.postgres.migrations import migrate

        fresh = self._create("baton_template", "template1")
        with ThreadPoolExecutor(1) as elsewhere:  # this thread may be in an event loop
            elsewhere.submit(migrate, fresh.owner_url).result()
        fresh.run("GRANT baton_app TO baton_server")
        return fresh.name

    def _create(self, name: str, template: str) -> PostgresDatabase:
        statement = SQL("CREATE DATABASE {} TEMPLATE {} OWNER baton_owner")
        with closing(psycopg.connect(self.url("postgres"), autocommit=True)) as connection:
            connection.execute(statement.format(Identifier(name), Identifier(template)))
        return PostgresDatabase(self, name)

    def start(self) -> None:
        """The server answers, all its data recovered."""
        for port in [self.port] if self.port else (free_port() for _ in range(ATTEMPTS)):
            self.port = port
            self._running = self._spawn()
            eventually(lambda: self._answers() or not self._process.running, f"no answer from Postgres\n{self.log}")
            if self._process.running:
                return
        raise AssertionError(f"PostgreSQL does not start: {self.log}")

    def stop(self) -> None:
        """The server has ended in good order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """The server is gone as by a crash: every connection is cut, and what it had not written is lost."""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        """Nothing is left of the server."""
        atexit.unregister(self.close)
        if self._process.running:
            self.kill()
        rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [*as_account(), _binary("initdb"), "-D", str(self.folder / "data"), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, timeout=60)

    def _spawn(self) -> Program:
        """Gives the server's process: with this one it ends at once, but leaves no shared memory behind."""
        settings = [f"--{name}={value}" for name, value in {**self._config, "port": str(self.port)}.items()]
        command = [*as_account("--pdeathsig", "QUIT"), _binary("postgres"), "-D", str(self.folder / "data"), *settings]
        program = Program(command, self.folder / "log")
        atexit.unregister(self.close)
        atexit.register(self.close)  # after the program's own, and so run before it
        return program

    def _end(self, number: int) -> None:
        self._process.signal(number)
        eventually(lambda: not self._process.running, "Postgres does not stop")
        self._process.kill()  # it has ended; nobody needs to end it when this process does

    def _answers(self) -> bool:
        try:
            return run(self.url("postgres"), "SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    @property
    def _process(self) -> Program:
        assert self._running is not None
        return self._running


@cache
def postgres() -> PostgresServer:
    """Gives the server that this process's tests share, each in a database of its own."""
    return PostgresServer()


@contextmanager
def running(*, durable: bool = False, **config: str) -> Generator[PostgresServer]:
    """Gives a server of the test's own, with that configuration."""
    server = PostgresServer(durable=durable, **config)
    try:
        yield server
    finally:
        server.close()


def run(url: str, statement: LiteralString, *arguments: Any) -> list[tuple[Any, ...]]:
    """Runs a statement by itself, over a connection of its own; gives its rows."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        cursor = connection.execute(statement, arguments or None)
        return cursor.fetchall() if cursor.description else []


def as_account(*options: str) -> list[str]:
    """Gives the words before a command that refuses to be root."""
    who = ["--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups"] if os.getuid() == 0 else []
    return [binary("setpriv"), *who, *options, "--"]


def _binary(name: str) -> str:
    """Gives the path of the newest one that is installed; Debian keeps them out of the path."""
    found = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return binary(str(found[-1]) if found else name)
