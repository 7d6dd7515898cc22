"""The page's modules by themselves, in Chromium but without a server: for tests of what they compute."""

from typing import Any

from playwright.async_api import Page, Route

from app.ui.page import assets

ORIGIN = "http://modules.test"


class Modules:
    """Runs JavaScript that imports the page's modules."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def open(self) -> None:
        """The modules can be imported."""
        await self._page.route(f"{ORIGIN}/**", _fulfill)
        await self._page.goto(f"{ORIGIN}/")

    async def call(self, module: str, function: str, argument: Any = None) -> Any:
        """Gives what `function` gives: the text of an arrow function of (the module, the argument)."""
        code = f"async ([name, given]) => ({function})(await import(`/static/${{name}}.js`), given)"
        return await self._page.evaluate(code, [module, argument])


async def _fulfill(route: Route) -> None:
    found = assets().get(route.request.url.rpartition("/")[2])
    if found is None:
        await route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")
    else:
        await route.fulfill(body=found.body, content_type=found.media_type)
