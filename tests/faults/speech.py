"""How clients of Redis and Postgres speak, as far as it takes to know when everything asked is answered."""

from hiredis import Reader

SSL_REQUEST = 80877103
ANSWERED_BY = {ord("H"): b"TnE", ord("S"): b"Z", ord("Q"): b"Z"}
"""The messages after which a client waits (Flush, as it follows Describe; Sync; Query), and those that it waits for."""
_ENDS = {bytes([kind]) for kind in ANSWERED_BY}


class RedisSpeech:
    """RESP: a command is an array, and each has one reply. To a subscriber come more, which nobody asked for."""

    def __init__(self) -> None:
        self._asked, self._said = Reader(), Reader()
        self._owed = 0

    def ask(self, data: bytes) -> None:
        self._owed += _whole(self._asked, data)

    def answer(self, data: bytes) -> None:
        self._owed -= _whole(self._said, data)

    @property
    def is_asked(self) -> bool:
        return not self._asked.has_data()

    @property
    def is_answered(self) -> bool:
        return self._owed <= 0 and not self._said.has_data()


def _whole(reader: Reader, data: bytes) -> int:
    """Gives how many values are whole with that data."""
    reader.feed(data)
    count = 0
    while reader.gets() is not False:
        count += 1
    return count


class PostgresSpeech:
    """The protocol's version 3: messages of a type, a length and a body, after a beginning without types."""

    def __init__(self) -> None:
        self._asked, self._said = b"", b""
        self._owed: list[bytes] = []
        self._is_asked = True
        self._has_begun = False
        self._owes_byte = False

    def ask(self, data: bytes) -> None:
        self._asked += data
        if not self._has_begun:
            self._begin()
            return
        kinds, self._asked = _messages(self._asked)
        self._owed += [ANSWERED_BY[kind] for kind in kinds if kind in ANSWERED_BY]
        self._is_asked = not self._asked and kinds[-1:] in _ENDS

    def answer(self, data: bytes) -> None:
        if self._owes_byte:
            self._owes_byte, data = False, data[1:]
            self._owed.clear()
        kinds, self._said = _messages(self._said + data)
        for kind in kinds:
            if self._owed and kind in self._owed[0]:
                self._owed.pop(0)

    @property
    def is_asked(self) -> bool:
        return self._is_asked

    @property
    def is_answered(self) -> bool:
        return not self._owed and not self._said

    def _begin(self) -> None:
        self._is_asked = len(self._asked) >= 8 and len(self._asked) == _number(self._asked, 0)
        if self._is_asked:
            self._owes_byte = _number(self._asked, 4) == SSL_REQUEST
            self._has_begun = not self._owes_byte
            self._owed, self._asked = [b"Z"], b""


def _messages(data: bytes) -> tuple[bytes, bytes]:
    """Gives the types of the whole messages, and what is left."""
    kinds = bytearray()
    while len(data) >= 5 and len(data) > (length := _number(data, 1)):
        kinds.append(data[0])
        data = data[1 + length :]
    return bytes(kinds), data


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")
