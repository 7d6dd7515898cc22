"""A conversation over HTTP: one session, its runs, and what a viewer of them saw."""

from collections.abc import AsyncIterator, Mapping
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from tests.support.http import Answer, Client
from tests.support.sse import Event
from tests.support.viewer import Viewer


class Talk:
    """One session. Everything it gets was checked by the client, and by a viewer."""

    def __init__(self, api: Client, session: str | None = None, agent: str = "assistant") -> None:
        self.api = api
        self.session = f"s-{token_hex(8)}" if session is None else session
        self.path = f"/v1/agents/{agent}/sessions/{quote(self.session, safe='')}"

    async def say(self, text: str, headers: Mapping[str, str] | None = None, **body: Any) -> tuple[Answer, Viewer]:
        """Gives the stream of a new run, once it has ended."""
        async with self.api.stream("POST", f"{self.path}/runs", json={"input": text, **body}, headers=headers) as (
            head,
            events,
        ):
            return head, await watch(events)

    async def post(self, text: str, headers: Mapping[str, str] | None = None, **body: Any) -> Answer:
        """Gives the answer to an input, whatever it is."""
        return await self.api.post(f"{self.path}/runs", json={"input": text, **body}, headers=headers)

    async def result(self, text: str, **body: Any) -> dict[str, Any]:
        """Gives a new run's result, once it is there."""
        answer = await self.post(text, stream=False, **body)
        assert answer.status == 200, answer.body
        return answer.json

    async def start(self, text: str, **body: Any) -> str:
        """Gives the run that will answer, which goes on in the background."""
        answer = await self.post(text, background=True, **body)
        assert answer.status == 202, answer.body
        return answer.json["run_id"]

    async def follow(self, run: str, cursor: str | None = None) -> Viewer:
        """Gives a run's stream from the cursor to its end."""
        headers = {"Last-Event-ID": cursor} if cursor else {}
        async with self.api.stream("GET", f"/v1/runs/{run}/events", headers=headers) as (_, events):
            return await watch(events)

    async def until(self, name: str) -> None:
        """The session's log has a record of that type."""
        async with self.api.stream("GET", f"{self.path}/events") as (_, events):
            await watch(events, until=name)

    async def messages(self) -> list[dict[str, Any]]:
        """Gives all the session's messages."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = (await self.api.get(f"{self.path}/messages?after={after}")).json
            found += page["messages"]
            after = page.get("next")
        return found

    async def said(self) -> list[tuple[str, str]]:
        """Gives who said what, tool results included."""
        return [(view["message"]["role"], text_of(view["message"])) for view in await self.messages()]


async def watch(events: AsyncIterator[Event], viewer: Viewer | None = None, until: str | None = None) -> Viewer:
    """Gives a viewer that saw the events: all of them, or up to the first one of that name."""
    viewer = viewer or Viewer()
    async for event in events:
        viewer.apply(event)
        if event.name == until:
            break
    return viewer


def text_of(message: dict[str, Any]) -> str:
    """Joins what a message says."""
    return "".join(part["text"] for part in message["parts"] if part["type"] in {"text", "tool_result"})
