"""The server dies, the page is reloaded: the chat goes on, with nothing lost and nothing doubled."""

from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.e2e.browser.conftest import scripted
from tests.e2e.browser.tab import Tab
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_killed_server_finishes_its_answer_on_the_same_page(tmp_path: Path, tab: Tab) -> None:
    async with scripted(tmp_path) as server:
        await tab.open(server.url)
        await tab.send("a long story")
        await expect(tab.answers).to_contain_text("Once upon a time")
        server.kill()
        await expect(tab.page.get_by_text("Reconnecting…")).to_be_visible()
        await server.start()

        await expect(tab.run("completed")).to_have_count(1)
        await expect(tab.page.get_by_text("Reconnecting…")).to_be_hidden()
        await expect(tab.page.locator('.note[data-reason="takeover"]')).to_have_count(1)
        await expect(tab.inputs).to_have_text(["a long story"])
        assert await tab.prose.all_inner_texts() == await tab.logged_texts()
        assert tab.loads == 1
        assert sum(request.method == "POST" for request in tab.requests) == 1
        follows = [request for request in tab.requests if request.url.endswith("/events")]
        assert follows
        assert all("/v1/runs/" in follow.url and "last-event-id" in follow.headers for follow in follows)


async def test_an_input_for_a_dead_server_is_sent_when_it_is_back(tmp_path: Path, tab: Tab) -> None:
    async with scripted(tmp_path) as server:
        await tab.open(server.url)
        server.kill()
        await tab.send("hello")
        await expect(tab.page.get_by_text("Reconnecting…")).to_be_visible()
        await expect(tab.page.locator(".sending")).to_have_text("hello")
        await server.start()

        await expect(tab.run("completed")).to_have_count(1)
        await expect(tab.inputs).to_have_text(["hello"])
        await expect(tab.page.locator(".sending")).to_have_count(0)
        assert len(await tab.logged_texts()) == 1


async def test_an_input_whose_answer_never_came_is_not_doubled(server: Server, tab: Tab) -> None:
    """The first POST reaches the server, but its response is lost: the repeat attaches to the same run."""
    lost: list[str] = []

    async def lose_first(route: Route) -> None:
        if not lost:
            lost.append(route.request.headers["idempotency-key"])
            await route.fetch()
            await route.abort("connectionreset")
        else:
            assert route.request.headers["idempotency-key"] == lost[0]
            await route.continue_()

    await tab.page.route("**/v1/chat", lose_first)
    await tab.open(server.url)
    await tab.send("hello")

    await expect(tab.run("completed")).to_have_count(1)
    await expect(tab.inputs).to_have_count(1)
    assert len(await tab.logged_texts()) == 1


async def test_a_reload_in_mid_answer_goes_on(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("a long story")
    await expect(tab.answers).to_contain_text("Once upon a time")
    await tab.page.reload()

    await expect(tab.page.locator(".answer.open")).to_contain_text("Once upon a time")
    await expect(tab.run("completed")).to_have_count(1)
    await expect(tab.inputs).to_have_text(["a long story"])
    assert await tab.prose.all_inner_texts() == await tab.logged_texts()


async def test_a_reload_shows_what_was(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("two files")
    await expect(tab.run("completed")).to_have_count(1)
    before = await tab.page.locator("#runs").inner_text()
    await tab.page.reload()

    await expect(tab.run("completed")).to_have_count(1)
    await expect(tab.page.locator("#todos")).to_contain_text("1 of 2 done")
    assert await tab.page.locator("#runs").inner_text() == before


async def test_another_tab_shows_the_same_answer(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("a long story")
    await expect(tab.answers).to_contain_text("Once")
    other = Tab(await tab.page.context.new_page())
    await other.open(tab.page.url)

    await expect(other.run("completed")).to_have_count(1)
    await expect(tab.run("completed")).to_have_count(1)
    assert await other.prose.all_inner_texts() == await tab.prose.all_inner_texts()
    assert not other.faults


async def test_a_chat_that_is_gone_says_so(server: Server, tab: Tab) -> None:
    await tab.open(f"{server.url}/#assistant/ses_never")

    await expect(tab.page.get_by_role("alert")).to_be_visible()
    assert all("404" in fault for fault in tab.faults)
    tab.faults.clear()
