"""Health, for load balancers and people; open to all, and silent about everything else."""

from fastapi import APIRouter, Request, Response

from app.api.deps import EngineDep
from app.api.openapi import json_answer, problems
from app.api.responses import MsgspecResponse
from app.api.schemas.results import Health
from app.core.errors import Draining

router = APIRouter(
    tags=["health"],
    default_response_class=Response,
    responses={200: json_answer(Health, "How this replica is."), **problems("internal")},
)


@router.get("/livez", summary="Is it alive?")
async def livez(request: Request) -> Response:
    """Says that the process answers."""
    return MsgspecResponse(Health(status="ok", version=request.app.version))


@router.get("/readyz", summary="Does it take inputs?", responses=problems("draining"))
async def readyz(request: Request, engine: EngineDep) -> Response:
    """Says that this replica takes inputs; 503 while it drains."""
    if not engine.ready():
        raise Draining("this replica is shutting down")
    return MsgspecResponse(Health(status="ok", version=request.app.version))


@router.get("/health", summary="How is it?")
async def health(request: Request, engine: EngineDep) -> Response:
    """Says how this replica is; always 200 while it answers."""
    status = "ok" if engine.ready() else "draining"
    return MsgspecResponse(Health(status=status, version=request.app.version))
