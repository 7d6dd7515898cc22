"""One Chromium for all of this package, one server for most of it, and a tab for each test."""

import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.e2e.browser.modules import Modules
from tests.e2e.browser.tab import Tab
from tests.support.server import Server, running

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SCRIPT = Path(__file__).parent / "script.yaml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncGenerator[Browser, None]:
    if not CHROMIUM.exists():
        if os.environ.get("BATON_TEST_REQUIRE") == "all":
            pytest.fail(f"there is no {CHROMIUM}: apt-get install chromium")
        pytest.skip(f"there is no {CHROMIUM}")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    """A server for tests that leave it as it was; its model plays `script.yaml`."""
    async with scripted(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="package")
async def tab(browser: Browser) -> AsyncGenerator[Tab, None]:
    """A tab of its own. Whatever its console complains of fails the test."""
    context = await browser.new_context(viewport={"width": 1000, "height": 700})
    tab = Tab(await context.new_page())
    yield tab
    await context.close()
    assert not tab.faults


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def modules(browser: Browser) -> AsyncGenerator[Modules, None]:
    """The page's modules, without the page."""
    page = await browser.new_page()
    modules = Modules(page)
    await modules.open()
    yield modules
    await page.close()


def scripted(home: Path, script: Path = SCRIPT) -> AbstractAsyncContextManager[Server]:
    """Gives a server whose model plays that script."""
    return running(home, BATON_MODEL="scripted:x", BATON_SCRIPT=str(script))
