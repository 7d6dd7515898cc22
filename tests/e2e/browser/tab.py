"""A browser's tab with the page in it: what a person sees and does, and everything that went wrong meanwhile."""

import re
from typing import Any
from urllib.parse import urljoin

from playwright.async_api import ConsoleMessage, Error, Locator, Page, Request, expect

PATIENCE = 10_000
"""Milliseconds after which something expected has failed to come."""

expect.set_options(timeout=PATIENCE)

_REFUSED = re.compile(r"Failed to load resource: net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)")
"""What Chromium itself logs when a server is gone; nobody can keep it from doing so."""


class Tab:
    """The page, as a person uses it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.requests: list[Request] = []
        self.loads = 0
        page.on("console", self._hear)
        page.on("pageerror", self._fail)
        page.on("request", self._note)
        page.on("load", self._count)

    async def open(self, url: str) -> None:
        """The page is there."""
        await self.page.goto(url)
        await expect(self.text).to_be_visible()

    async def send(self, text: str) -> None:
        """The text was written and sent."""
        await self.text.fill(text)
        await self.text.press("Enter")

    @property
    def text(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def inputs(self) -> Locator:
        return self.page.locator(".input:not(.sending) p")

    @property
    def answers(self) -> Locator:
        return self.page.locator(".answer")

    @property
    def prose(self) -> Locator:
        return self.page.locator(".answer .prose")

    @property
    def calls(self) -> Locator:
        return self.page.locator(".call")

    @property
    def sessions(self) -> Locator:
        return self.page.locator("#sessions a")

    def run(self, status: str) -> Locator:
        """Finds the runs of that status."""
        return self.page.locator(f'.run[data-status="{status}"]')

    async def place(self) -> str:
        """Gives the API's path of the session that is shown."""
        agent, session = (await self.page.evaluate("location.hash")).removeprefix("#").split("/")
        return f"/v1/agents/{agent}/sessions/{session}"

    async def get(self, path: str) -> Any:
        """Gives what the API has at that path."""
        response = await self.page.request.get(urljoin(self.page.url, path))
        assert response.ok, await response.text()
        return await response.json()

    async def logged_texts(self) -> list[str]:
        """Gives the texts of the session's answers, as they are in its log."""
        views = (await self.get(await self.place() + "/messages"))["messages"]
        messages = [view["message"] for view in views if view["message"]["role"] == "assistant"]
        parts = [[part["text"] for part in message["parts"] if part["type"] == "text"] for message in messages]
        return ["".join(texts) for texts in parts if texts]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _REFUSED.search(message.text):
            self.faults.append(f"{message.type}: {message.text}")

    def _fail(self, error: Error) -> None:
        self.faults.append(f"exception: {error.message}")

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    def _count(self, _: Page) -> None:
        self.loads += 1
