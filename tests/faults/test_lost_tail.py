"""A store that lost its last writes under running replicas: they go on from what the log says, and nobody is misled."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import BatonError, LogRegressed, RunNotFound, StaleClaim
from app.core.records import Effect, Entry, RunFinished, RunResumed, RunStarted
from app.engine.stream import Stream
from app.engine.views import Accepted
from app.stores.bundle import Stores
from tests.crash.scenarios import check_log
from tests.faults.director import Director
from tests.faults.fragile import Fragile
from tests.faults.ledger import Given, Ledger
from tests.faults.members import fleet, seasoned
from tests.support.puppet import Call
from tests.support.replica import AGENT, WHO, Replica, key_of, until
from tests.support.tools import CountingTool
from tests.support.viewer import Viewer

KEPT = {"calm": ["calm"], "ended": ["ended"], "midway": ["midway"], "handed": ["first", "second"]}
"""The sessions whose inputs survive, and those inputs."""
TEXTS = ("calm", "ended", "midway", "first", "second", "lost")


class Records(Viewer):
    """Looks at records and resets only."""

    def _delta(self, data: dict[str, Any]) -> None:
        pass

    def _snapshot(self, data: dict[str, Any]) -> None:
        pass


class Follower:
    """Follows as a client does: it reconnects with its last id until it has seen enough, or there is nothing to see."""

    def __init__(self, follow: Callable[[str | None], Awaitable[Stream]], is_done: Callable[[Viewer], bool]) -> None:
        self.seen: Viewer = Records()
        self._follow = follow
        self._is_done = is_done

    @classmethod
    def of_run(cls, server: Replica, accepted: Accepted) -> "Follower":
        """Gives one that wants to see the run's end."""
        engine, run = server.engine, accepted.run_id
        return cls(lambda after: engine.follow_run(WHO, run, after), lambda seen: bool(seen.of_type("run.finished")))

    @classmethod
    def of_session(cls, server: Replica, accepted: Accepted) -> "Follower":
        """Gives one that has seen enough when it was told of a loss, and then of a run's end."""
        engine, session = server.engine, accepted.key.session
        return cls(
            lambda after: engine.follow_session(WHO, AGENT, session, after),
            lambda seen: "reset" in seen.names and bool(seen.of_type("run.finished")),
        )

    async def follow(self) -> Viewer:
        """Gives what was seen."""
        while not self._is_done(self.seen):
            self.seen.reconnect()
            try:
                await self._read()
            except RunNotFound:
                break
            except BatonError:
                await asyncio.sleep(0.02)
        return self.seen

    async def _read(self) -> None:
        frames = (await self._follow(self.seen.last_id)).frames()
        try:
            async for data in frames:
                self.seen.feed(data)
                if self._is_done(self.seen):
                    return
        finally:
            await frames.aclose()


class Play:
    """Two replicas in the middle of things: each run waits for its cue."""

    def __init__(self, fragile: Fragile, directory: Path) -> None:
        self.ledger = Ledger()
        self.fragile = fragile
        self.cues = {text: asyncio.Event() for text in (*TEXTS, "tool")}
        halves = {text: [["half ", cue, "whole"]] for text, cue in self.cues.items()}
        look = ["let me see ", self.cues["tool"], Call("pure", "{}")]
        self.model = Director(halves | {"midway": [look, *halves["midway"]]})
        self.world = (CountingTool("pure", Effect.PURE),)
        self.fleet = fleet(fragile, self.model, directory, self.world, self.ledger)
        self.accepted: dict[str, Accepted] = {}

    async def begin(self, server: Replica) -> None:
        """One session is at rest, three are at work, and behind one run another waits."""
        self.cues["calm"].set()
        await server.ask("calm", "calm")
        for session, texts in KEPT.items():
            for text in texts if session != "calm" else ():
                self.accepted[text] = await server.say(text, session, key=text)
        await self.asked("ended", "midway", "first")

    async def go_too_far(self, server: Replica) -> None:
        """What will be lost happens: a run ends, a step is done, a claim is handed on, an input comes."""
        for cue in ("ended", "tool", "first"):
            self.cues[cue].set()
        self.accepted["lost"] = await server.say("lost", "lost", key="lost")
        await self.asked("second", "lost")
        await until(lambda: self.model.asked["midway"] == 2)
        await server.engine.finished(WHO, self.accepted["ended"].run_id)

    async def asked(self, *texts: str) -> None:
        """Returns once the model was asked for those."""
        await until(lambda: all(self.model.asked[text] for text in texts))


async def lose_the_tail(play: Play, here: Replica) -> set[Given]:
    """Plays until after the loss; gives what was claimed meanwhile, which the store has forgotten."""
    await play.begin(here)
    await play.fragile.mark()
    await seasoned(here)
    before = play.ledger.claims()
    await play.go_too_far(here)
    return play.ledger.claims() - before


async def rewind(play: Play) -> None:
    """The store has lost its tail, and whoever asks the model has to wait for it."""
    for cue in play.cues.values():
        cue.clear()
    play.ledger.turn_page()
    await play.fragile.rewind()


async def go_on(play: Play, here: Replica) -> None:
    """Every input is answered: those that survived by themselves, and the lost one because it is sent again."""
    for cue in play.cues.values():
        cue.set()
    again = await answered(here, "lost")
    assert again.run_id != play.accepted["lost"].run_id
    for text in ("ended", "midway", "first", "second"):
        await ended(here, play.accepted[text])


async def answered(server: Replica, text: str) -> Accepted:
    """Gives the run of an input that is sent again, under its key, until it is taken in; it has ended."""
    while True:
        try:
            accepted = await server.say(text, text, key=text)
            await ended(server, accepted)
        except BatonError:
            await asyncio.sleep(0.02)
        else:
            return accepted


async def ended(server: Replica, accepted: Accepted) -> None:
    """The run has completed; reading about it is tried until the store answers."""
    while True:
        try:
            assert (await server.engine.finished(WHO, accepted.run_id)).status == "completed"
        except RunNotFound:
            raise
        except BatonError:
            await asyncio.sleep(0.02)
        else:
            return


async def check_logs(stores: Stores) -> None:
    """Every input that survived or was sent again is answered once, and every claim is a newer one."""
    for session, texts in (KEPT | {"lost": ["lost"]}).items():
        log = await stores.sessions.read(key_of(session), 0, 10_000)
        check_log(log.entries, (await stores.sessions.read(key_of(session))).state())
        assert len(finishes(log.entries)) == len(texts)
        epochs = [e.record.epoch for e in log.entries if isinstance(e.record, RunStarted | RunResumed)]
        assert epochs == sorted(set(epochs)), f"{session}: {epochs}"


def finishes(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.record.status for entry in entries if isinstance(entry.record, RunFinished)]


@pytest.fixture
def play(fragile: Fragile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Gives a play on a store that can be robbed."""
    monkeypatch.setattr("app.engine.worker.TAKE_SECONDS", 0.2)
    return Play(fragile, tmp_path)


async def test_replicas_go_on_from_what_is_left(play: Play) -> None:
    async with play.fleet as some:
        here, _ = await some.start(), await some.start()
        lost = await lose_the_tail(play, here)
        await rewind(play)
        await go_on(play, here)
    play.ledger.check_claims()
    assert lost, "nothing was claimed that the store forgot"
    assert not play.ledger.writers() & lost, "a claim that the store had forgotten wrote"
    assert {LogRegressed, StaleClaim} <= set(play.ledger.lost)
    async with play.fragile.open() as stores:
        await check_logs(stores)
        await play.ledger.check_kept(stores.sessions)


@pytest.mark.parametrize("viewer", [Records, Viewer])
async def test_followers_are_told_of_the_loss(play: Play, viewer: type[Viewer]) -> None:
    async with play.fleet as some, asyncio.TaskGroup() as group:
        here, there = await some.start(), await some.start()
        await lose_the_tail(play, here)
        followers = [Follower.of_session(server, play.accepted["ended"]) for server in (here, there)]
        runs = [play.accepted[text] for text in ("midway", "second")]
        followers += [Follower.of_run(server, run) for server in (here, there) for run in runs]
        lost = [Follower.of_run(server, play.accepted["lost"]) for server in (here, there)]
        for one in (*followers, *lost):
            one.seen = viewer()
        follows = [group.create_task(one.follow()) for one in (*followers, *lost)]
        await until(lambda: all(one.seen.records for one in (*followers, *lost)))
        await rewind(play)
        await until(lambda: all("reset" in one.seen.names for one in followers))
        await go_on(play, here)
        await asyncio.wait(follows)
    assert {one.seen.status for one in followers} == {"completed"}
    assert not any(one.seen.of_type("run.finished") for one in lost)
