"""The command line: `baton serve`, `baton migrate`."""

import argparse
import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from app.core.errors import ConfigError
from app.settings import load
from app.stores.addresses import PostgresStore


def main(argv: list[str] | None = None) -> int:
    """Runs a command; gives the exit code. A setting that cannot be meant ends it with one line that says the fix."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except ConfigError as error:
        print(f"baton: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="baton", description="An agent server that hands every run on.")
    parser.add_argument("--version", action="version", version=f"baton {version('baton')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the API and the chat page")
    serve.add_argument("--host", help="the address to listen on (BATON_HOST)")
    serve.add_argument("--port", type=int, help="the port to listen on (BATON_PORT)")
    serve.set_defaults(command=_serve)
    migrate = commands.add_parser("migrate", help="bring the database's schema up to date (a postgresql:// store)")
    migrate.set_defaults(command=_migrate)
    openapi = commands.add_parser("openapi", help="print the API's description (openapi.json)")
    openapi.set_defaults(command=_openapi)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from app.main import run

    given: dict[str, Any] = {"BATON_HOST": arguments.host, "BATON_PORT": arguments.port}
    return run(load(**{name: value for name, value in given.items() if value is not None}))


def _migrate(_: argparse.Namespace) -> int:
    store = load().store
    if not isinstance(store, PostgresStore):
        print("baton: nothing to do: this store brings itself up to date when the server starts")
        return 0
    from app.stores.postgres.migrations import migrate

    variable = "BATON_STORE_URL" if store.direct_url is None else "BATON_DATABASE_DIRECT_URL"
    print(f"baton: the database has schema {migrate(store.direct_url or store.url, variable)}")
    return 0


def _openapi(_: argparse.Namespace) -> int:
    from app.main import describe

    print(json.dumps(asyncio.run(describe()), indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
