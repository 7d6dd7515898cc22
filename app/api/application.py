"""The HTTP application: routes, errors and bounds around an engine."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from app.api.bounds import Bounds
from app.api.deps import COMMON_PROBLEMS, api_key, authenticate, bearer
from app.api.errors import answer_error, answer_http, answer_invalid
from app.api.faults import Faults
from app.api.openapi import openapi_document
from app.api.port import Engine
from app.api.routes import chat, health, runs, sessions
from app.auth.base import Authenticator
from app.core.errors import BatonError

MAX_BODY = 1024 * 1024
MAX_HEAD = 32 * 1024

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_api(
    engine: Engine,
    authenticator: Authenticator,
    *,
    max_body: int = MAX_BODY,
    max_head: int = MAX_HEAD,
    origins: Sequence[str] = (),
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """Gives the application. Limits are in bytes; `origins` are the exact ones that browsers may call from."""
    app = FastAPI(
        title="Baton",
        description="An agent server that hands every run on.",
        version=version("baton"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        exception_handlers={
            BatonError: answer_error,
            HTTPException: answer_http,
            RequestValidationError: answer_invalid,
        },
    )
    app.state.engine = engine
    app.state.authenticator = authenticator
    _include_version_1(app)
    app.include_router(health.router)
    app.openapi = partial(openapi_document, app)
    _add_middleware(app, max_body, max_head, origins)
    return app


def _include_version_1(app: FastAPI) -> None:
    """Router by router: one inside another is looked through twice for each request."""
    callers = [Depends(bearer), Depends(api_key), Depends(authenticate)]
    for module in (chat, runs, sessions):
        app.include_router(module.router, prefix="/v1", dependencies=callers, responses=COMMON_PROBLEMS)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _add_middleware(app: FastAPI, max_body: int, max_head: int, origins: Sequence[str]) -> None:
    """Each one added is outside those before it."""
    app.add_middleware(Bounds, max_body=max_body, max_head=max_head)
    app.add_middleware(Faults)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=tuple(origins),
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "Last-Event-ID"),
            expose_headers=("X-Session-Id", "X-Run-Id", "Location", "Retry-After"),
        )
