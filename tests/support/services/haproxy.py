"""A real HAProxy before several servers: each connection goes to the next one that is alive."""

import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.services.binaries import Program, binary, eventually, free_port

CONNECTIONS = 4000


def _lines(port: int, servers: Sequence[str]) -> list[str]:
    return [
        "global",
        f"  maxconn {CONNECTIONS}",
        "defaults",
        "  mode http",
        "  timeout connect 1s",
        "  timeout client 1h",
        "  timeout server 1h",
        "  timeout tunnel 1h",
        "  timeout check 1s",
        "  retries 2",
        "  option redispatch",
        "  option http-no-delay",
        "  option httpchk GET /readyz",
        "frontend http",
        f"  bind 127.0.0.1:{port}",
        "  default_backend replicas",
        "backend replicas",
        "  balance roundrobin",
        "  default-server check inter 500ms fall 1 rise 1",
        *(f"  server replica{i} {address}" for i, address in enumerate(servers)),
    ]


@contextmanager
def balancing(home: Path, servers: Sequence[str]) -> Generator[str, None, None]:
    """Gives the base URL of a balancer before those `host:port`s; HTTP only, round robin, with health checks."""
    port = free_port()
    file = home / "haproxy.cfg"
    file.write_text("\n".join(_lines(port, servers)) + "\n")
    program = Program([binary("haproxy"), "-db", "-f", str(file)], home / "haproxy.log")
    try:
        eventually(lambda: is_listening(port), "HAProxy does not listen")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.kill()


def is_listening(port: int) -> bool:
    """Says whether something takes connections on that port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
