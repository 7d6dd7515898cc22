"""How much is measured: enough to be sure, or enough to notice."""

from collections.abc import Sequence

from msgspec import Struct

from tests.bench.gaps import Crowd
from tests.bench.rates import Plan as Rates
from tests.bench.streaming import Plan as Streaming


class Size(Struct, frozen=True, kw_only=True):
    """How much of everything is measured."""

    streaming: Streaming
    rates: Rates
    crowds: Sequence[Crowd]
    counted: int
    """Turns whose round trips are counted, of each kind."""
    calls: int
    """Calls of the store by itself."""
    turns: Sequence[int]
    """Which turns of one session are compared with first ones."""
    window: int
    streams: int
    """Streams that are open at once, for their memory."""
    starts: int


FULL = Size(
    streaming=Streaming(rounds=5, paces=(20, 10, 0)),
    rates=Rates(rounds=3),
    crowds=(Crowd(200, 200, ramp=0.6), Crowd(1000, 400, ramp=4.5)),
    counted=8,
    calls=200,
    turns=(100, 1000),
    window=32,
    streams=500,
    starts=3,
)
QUICK = Size(
    streaming=Streaming(rounds=2, firsts=40),
    rates=Rates(rounds=1, clients=(50,)),
    crowds=(Crowd(200, 200, ramp=0.8, seconds=0.6),),
    counted=4,
    calls=100,
    turns=(100, 400),
    window=12,
    streams=300,
    starts=1,
)
