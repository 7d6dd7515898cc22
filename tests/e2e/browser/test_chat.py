"""A person chats: writes, sees the answer grow, watches tools, stops, steers, deletes."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.browser.tab import Tab
from tests.support.server import Server, running

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_an_answer_grows_and_ends_as_its_message(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("a long story, please")

    await expect(tab.page.locator(".answer.open")).to_contain_text("Once upon")
    assert not (await tab.answers.inner_text()).endswith("ever after.")
    await expect(tab.run("completed")).to_have_count(1)

    await expect(tab.inputs).to_have_text(["a long story, please"])
    assert await tab.prose.all_inner_texts() == await tab.logged_texts()


async def test_markdown_becomes_elements_and_thinking_is_folded(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("hello")

    await expect(tab.run("completed")).to_have_count(1)
    await expect(tab.answers.locator("strong")).to_have_text("there")
    await expect(tab.answers.locator("li")).to_have_text(["one", "two"])
    await expect(tab.answers.locator("pre code")).to_have_text("print('three')")
    await expect(tab.answers.locator("details p")).to_have_text("They greet me.")
    await expect(tab.answers.locator("details p")).to_be_hidden()
    await expect(tab.page.locator("#announcer")).to_contain_text("Done.")


async def test_a_command_of_the_offline_model_shows_a_call(tmp_path: Path, tab: Tab) -> None:
    async with running(tmp_path) as server:
        await tab.open(server.url)
        await tab.send("/write a.txt hi")

        await expect(tab.calls).to_have_attribute("data-status", "ok")
        await expect(tab.calls.locator("b")).to_have_text("write_file")
        await expect(tab.calls.locator(".arguments")).to_contain_text('"path": "a.txt"')
        await expect(tab.calls.locator(".output")).to_have_text("wrote 2 bytes to 'a.txt'")
        await tab.page.keyboard.press("Escape")
        await tab.calls.locator("summary").press("Enter")
        await expect(tab.calls.locator(".output")).to_be_visible()
        await expect(tab.answers).to_contain_text("The tool write_file says")


async def test_parallel_calls_and_the_plan(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("two files")

    await expect(tab.run("completed")).to_have_count(1)
    await expect(tab.calls.locator("b")).to_have_text(["write_file", "read_file", "todo_write"])
    await expect(tab.calls.locator(".state")).to_have_text(["done", "failed", "done"])
    await expect(tab.prose).to_have_text(["I look at both.", "I looked."])
    await expect(tab.page.locator("#todos summary")).to_have_text("Plan: 1 of 2 done, now: Answer")


async def test_stop_ends_the_run_and_keeps_what_was_shown(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("an endless story")
    await expect(tab.answers).to_contain_text("And so")
    await tab.page.get_by_role("button", name="Stop").click()

    await expect(tab.run("cancelled")).to_contain_text("Stopped")
    await expect(tab.answers).to_contain_text("This answer was cut short.")
    await expect(tab.answers.locator(".prose")).to_have_text(await tab.logged_texts())
    await expect(tab.page.get_by_role("button", name="Stop")).to_be_hidden()


async def test_a_message_joins_the_active_run(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("steer me")
    await expect(tab.answers).to_contain_text("I am")
    await tab.send("turn left")

    await expect(tab.run("completed")).to_have_count(1)
    await expect(tab.inputs).to_have_text(["steer me", "turn left"])
    await expect(tab.page.locator(".input small")).to_have_text(["added while it ran"])
    await expect(tab.prose.last).to_have_text("I turned left.")


async def test_a_message_waits_for_the_active_run(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("a long story")
    await expect(tab.answers).to_contain_text("Once")
    await tab.page.get_by_text("Queue", exact=True).click()
    await tab.send("hello")

    await expect(tab.run("completed")).to_have_count(2)
    await expect(tab.inputs).to_have_text(["a long story", "hello"])
    await expect(tab.answers).to_have_count(2)
    await expect(tab.answers.last).to_contain_text("Hello there")


async def test_a_failure_says_why(server: Server, tab: Tab) -> None:
    await tab.open(server.url)
    await tab.send("fall over")

    await expect(tab.run("failed")).to_contain_text("The run failed: the model fell over")


async def test_chats_are_listed_opened_and_deleted(tmp_path: Path, tab: Tab) -> None:
    async with running(tmp_path) as server:
        await tab.open(server.url)
        await tab.send("the first one")
        await expect(tab.run("completed")).to_have_count(1)
        await tab.page.get_by_role("button", name="New chat").click()
        await tab.send("the second one")
        await expect(tab.sessions).to_have_text(["the second one", "the first one"])

        await tab.sessions.last.click()
        await expect(tab.inputs).to_contain_text(["the first one"])
        await expect(tab.sessions.last).to_have_attribute("aria-current", "page")

        await tab.page.get_by_role("button", name="Delete the first one").click()
        await tab.page.get_by_role("button", name="Delete", exact=True).click()
        await expect(tab.sessions).to_have_text(["the second one"])
        await expect(tab.page.get_by_role("heading", name="What shall we work on?")).to_be_visible()


async def test_it_fits_a_small_phone(server: Server, tab: Tab) -> None:
    await tab.page.set_viewport_size({"width": 360, "height": 640})
    await tab.open(server.url)
    await tab.send("hello")
    await expect(tab.run("completed")).to_have_count(1)

    widths = await tab.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    await expect(tab.sessions.first).to_be_hidden()
    await tab.page.get_by_role("button", name="Chats").click()
    await expect(tab.sessions.first).to_be_visible()
    await tab.page.keyboard.press("Escape")
    await expect(tab.sessions.first).to_be_hidden()


async def test_a_long_answer_stays_whole(tmp_path: Path, tab: Tab) -> None:
    text = " ".join(f"word{number}" for number in range(12_000))
    script = tmp_path / "long.yaml"
    script.write_text(f"turns:\n  - - text: {text}\n      chunk: 5000\n")
    async with running(tmp_path, BATON_MODEL="scripted:long", BATON_SCRIPT=str(script)) as server:
        await tab.open(server.url)
        await tab.send("q" * 40_000)
        await expect(tab.run("completed")).to_have_count(1)
        assert len((await tab.prose.all_inner_texts())[0]) == len(text)
        await tab.page.reload()
        await expect(tab.run("completed")).to_have_count(1)
        assert (await tab.prose.all_inner_texts())[0].endswith(" word11999")
        assert len((await tab.inputs.all_inner_texts())[0]) == 40_000
