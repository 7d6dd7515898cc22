"""The server as the torture test starts it: the real one, with a tool that talks and a way to rename a session.

python -m tests.torture.launcher NOTHING serve --port 0

The first argument names a mutation: one line of the server gone wrong, for the checker to notice.
"""

import os
import sys

from fastapi import APIRouter, FastAPI

import app.bootstrap
import app.main
from app.__main__ import main
from app.api.deps import AgentInPath, Reader, SessionInPath
from app.bootstrap import Server
from app.core.errors import HeadMoved
from app.core.keys import SessionKey
from app.core.records import Effect, StatePatched
from app.core.tools import ToolOutput
from app.settings import Settings
from app.stores.base import Position
from app.stores.bus import Announced
from app.tools.base import Arguments, Tool, ToolContext, describe, parse
from app.tools.toolbox import builtin_tools
from tests.torture.model import TOOL, WORDS
from tests.torture.mutations import mutate

PACE = float(os.environ.get("BATON_TEST_PACE", "0.05"))
"""Seconds between two pieces of a tool's output."""
ATTEMPTS = 16


class Script(Arguments, frozen=True):
    """What is told, and how long it takes."""

    name: str
    pieces: int


class Narrate:
    """Tells a story piece by piece, and gives all of it."""

    spec = describe(TOOL, "Tells a story.", Script, Effect.PURE)

    async def run(self, arguments: str, context: ToolContext) -> ToolOutput:
        script = parse(arguments, Script)
        pieces = [f"{script.name}/{i} {WORDS[i % len(WORDS)]} " for i in range(script.pieces)]
        for piece in pieces:
            context.emit(piece)
            await context.clock.sleep(PACE)
        return ToolOutput(text="".join(pieces))


def tools() -> tuple[Tool, ...]:
    """Gives the built-in tools and the one that talks."""
    return (*builtin_tools(), Narrate())


def renaming(server: Server) -> APIRouter:
    """Gives a route that renames a session: an append by somebody who owns nothing."""
    router, services = APIRouter(), server.services

    async def rename(who: Reader, agent: AgentInPath, session: SessionInPath, title: str) -> int:
        key, stores = SessionKey(who.tenant, who.user, agent, session), services.stores
        for _ in range(ATTEMPTS):
            head = (await stores.heads.peek([key])).get(key)
            if head is None:
                return 0
            record = StatePatched(at=services.clock.now(), title=title)
            try:
                written = await stores.sessions.append(key, Position(head.birth, head.seq), [record])
            except HeadMoved:
                continue
            stores.bus.publish(key, Announced(head.birth, written[-1].seq, written))
            return written[-1].seq
        return 0

    router.add_api_route("/torture/{agent}/{session}", rename, methods=["POST"])
    return router


def prepare() -> None:
    """The server that this process starts has the tool and the route."""
    create = app.main.create_app

    def create_app(server: Server, settings: Settings) -> FastAPI:
        api = create(server, settings)
        api.include_router(renaming(server))
        return api

    app.main.create_app = create_app
    app.bootstrap.builtin_tools = tools


if __name__ == "__main__":
    prepare()
    mutate(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
