"""A real nginx before several servers: each request goes to the next one, and on to another if that one is gone."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.services.binaries import Program, binary, eventually, free_port
from tests.support.services.haproxy import is_listening

CONFIGURATION = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {home}/nginx.body;
    proxy_temp_path {home}/nginx.proxy;
    fastcgi_temp_path {home}/nginx.fastcgi;
    uwsgi_temp_path {home}/nginx.uwsgi;
    scgi_temp_path {home}/nginx.scgi;
    upstream replicas {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_cache off;
            proxy_read_timeout 1h;
            proxy_connect_timeout 1s;
            proxy_next_upstream error timeout;
        }}
    }}
}}
"""


@contextmanager
def balancing(home: Path, servers: Sequence[str]) -> Generator[str, None, None]:
    """Gives the base URL of a balancer before those `host:port`s; HTTP only, round robin."""
    port = free_port()
    lines = "\n".join(f"        server {address} max_fails=1 fail_timeout=1s;" for address in servers)
    file = home / "nginx.conf"
    file.write_text(CONFIGURATION.format(home=home, port=port, servers=lines))
    program = Program([binary("nginx"), "-e", str(home / "nginx.error.log"), "-c", str(file)], home / "nginx.log")
    try:
        eventually(lambda: is_listening(port), "nginx does not listen")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.kill()
