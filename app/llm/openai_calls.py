"""Tool calls as they arrive: which call each fragment of the stream belongs to, and what it adds."""

import msgspec
from msgspec import Struct

from app.llm.base import CallDelta
from app.llm.openai_wire import CallFragment, FunctionFragment

_NOTHING = FunctionFragment()


class _Call(Struct):
    """A call under way; `place` is its place in our order, once its name is known."""

    id: str
    name: str = ""
    place: int = -1
    arguments: list[str] = []


class CallBook:
    """Knows which call each fragment belongs to, also for providers that leave `index` out or use one for all."""

    def __init__(self) -> None:
        self.count = 0
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def nameless(self) -> bool:
        """Whether a call never got its name."""
        return self.count < len(self._calls)

    def take(self, fragment: CallFragment) -> list[CallDelta]:
        """Gives what the fragment adds. A call whose name is yet to come is held back until it does."""
        function = fragment.function or _NOTHING
        call = self._find(fragment, function.name or "") or self._open(fragment)
        call.arguments.append(function.arguments or "")
        if call.place >= 0:
            return [CallDelta(call.place, "", function.arguments)] if function.arguments else []
        if not function.name:
            return []
        call.name, call.place = function.name, self.count
        self.count += 1
        return [CallDelta(call.place, call.name, "".join(call.arguments))]

    def _find(self, fragment: CallFragment, name: str) -> _Call | None:
        if fragment.index is not None:
            call = self._by_index.get(fragment.index)
            return None if call is None or _is_another(call, fragment.id, name) else call
        if fragment.id and (known := [call for call in self._calls if call.id == fragment.id]):
            return known[0]
        if not self._calls or _is_another(self._calls[-1], fragment.id, name):
            return None
        return None if name and not fragment.id and _is_json(self._calls[-1]) else self._calls[-1]

    def _open(self, fragment: CallFragment) -> _Call:
        call = _Call(fragment.id or "")
        self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        return call


def _is_another(call: _Call, id_: str | None, name: str) -> bool:
    """Whether id and name begin another call. A new id alone does not: some providers make one up per fragment."""
    return bool(id_ and name and call.name and id_ != call.id)


def _is_json(call: _Call) -> bool:
    try:
        msgspec.json.decode("".join(call.arguments))
    except msgspec.DecodeError:
        return False
    return True
