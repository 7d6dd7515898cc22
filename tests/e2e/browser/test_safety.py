"""What a model or a title says is text, and the page's headers hold even if its code would not."""

import pytest
from aiohttp import ClientSession
from playwright.async_api import expect
from yarl import URL

from tests.e2e.browser.tab import Tab
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="package")

EVIL = "evil <img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


async def test_model_text_and_titles_are_inert(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send(EVIL)
    await expect(tab.run("completed")).to_have_count(1)
    await tab.page.reload()
    await expect(tab.run("completed")).to_have_count(1)

    await expect(tab.inputs).to_have_text([EVIL])
    await expect(tab.page.locator("#title")).to_have_text(EVIL[:80])
    await expect(tab.sessions.filter(has_text="evil").first).to_have_text(EVIL[:80])
    await expect(tab.prose).to_contain_text("<script>document.title='owned'</script>")
    await expect(tab.page.locator("#log :is(img, script, a, [onclick]), #sidebar li :is(img, script)")).to_have_count(0)
    assert (await tab.page.title()).startswith("evil <img")


async def test_markup_from_text_is_refused_by_the_browser(server: Server, tab: Tab) -> None:
    """Trusted types: the code that would make a model's text markup cannot run at all."""
    await tab.open(server.url)
    script = (
        "() => { try { document.body.innerHTML = '<b>x</b>'; return 'done'; } catch (error) { return error.name; } }"
    )

    assert await tab.page.evaluate(script) == "TypeError"
    tab.faults.clear()


async def test_headers(server: Server) -> None:
    async with ClientSession(server.url) as session:
        for path, kind in (
            ("/", "text/html"),
            ("/static/main.js", "text/javascript"),
            ("/static/base.css", "text/css"),
        ):
            async with session.get(path) as response:
                assert response.status == 200
                assert response.content_type == kind
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'self'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                etag = response.headers["ETag"]
            async with session.get(path, headers={"If-None-Match": etag}) as response:
                assert response.status == 304
                assert not await response.read()


@pytest.mark.parametrize(
    "name", ["nothing.js", "page.py", "..", "%2e%2e", "..%2fpage.py", "%2e%2e%5cpage.py", "", ".", "main.js%00"]
)
async def test_nothing_else_is_served(server: Server, name: str) -> None:
    async with ClientSession() as session, session.get(URL(f"{server.url}/static/{name}", encoded=True)) as response:
        assert response.status in {400, 404}


async def test_every_control_has_a_name(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("two files")
    await expect(tab.run("completed")).to_have_count(1)

    nameless = """() => [...document.querySelectorAll("button, a, input, textarea, summary")].filter((control) =>
        !(control.textContent.trim() || control.ariaLabel || control.labels?.length || control.title)
    ).map((control) => control.outerHTML)"""
    assert await tab.page.evaluate(nameless) == []
    ids = await tab.page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


async def test_the_keyboard_reaches_everything(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await expect(tab.text).to_be_focused()
    await tab.page.keyboard.press("Shift+Tab")
    await expect(tab.page.get_by_role("button", name="/help")).to_be_focused()
    outline = await tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
