import asyncio
import threading

import pytest

from app.core.clock import SystemClock
from app.core.errors import ReplicaDead
from app.core.ids import Incarnation, TenantId
from app.core.keys import SessionKey
from app.stores.redis.layout import layout
from app.stores.redis.names import session_blobs
from app.stores.redis.stores import open_redis
from tests.contracts.scenes import key
from tests.support.services.redis import RedisServer, running

ONE = Incarnation("one")


async def test_a_heartbeat_has_a_connection_and_a_loop_of_its_own(server: RedisServer) -> None:
    async with open_redis(server.url(server.fresh()), SystemClock()) as stores:
        pulse = stores.pulse
        assert pulse is not None

        async def beat() -> None:
            async with pulse() as replicas:
                await replicas.beat(ONE)

        thread = threading.Thread(target=lambda: asyncio.run(beat()))
        thread.start()
        thread.join()
        (seen,) = await stores.replicas.live()
        assert seen.incarnation == ONE
        await stores.replicas.forget(ONE)
        with pytest.raises(ReplicaDead):
            await beat()


async def test_closing_leaves_no_connection() -> None:
    with running() as server:
        async with open_redis(server.url(), SystemClock(), pool=4) as stores:
            await asyncio.gather(*(stores.keyvalue.get(TenantId("t"), "k") for _ in range(20)))
            assert server.ask("INFO", "clients")["connected_clients"] == 4 + 1 + 1  # the bus listens, and we ask
        async with asyncio.timeout(5):
            while server.ask("INFO", "clients")["connected_clients"] > 1:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("where", [key(), key("é/{x}", tenant=TenantId("a}b"))])
def test_blobs_look_for_a_sessions_set_where_its_scripts_keep_it(where: SessionKey) -> None:
    assert session_blobs(where) in layout(where).keys


async def test_open_stores_show_no_password() -> None:
    with running(requirepass="s3cret") as server:
        async with open_redis(f"redis://:s3cret@{server.place}/0", SystemClock()) as stores:
            assert "s3cret" not in repr(stores)
