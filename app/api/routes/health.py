"""Health, for load balancers and people; open to all, and silent about everything else."""

from fastapi import APIRouter, Request, Response

from app.api.deps import EngineDep
from app.api.errors import problem
from app.api.openapi import json_answer, problems
from app.api.responses import MsgspecResponse
from app.api.schemas.results import Health

router = APIRouter(
    tags=["health"],
    default_response_class=Response,
    responses={200: json_answer(Health, "How this replica is."), **problems("internal")},
)


@router.get("/livez", summary="Is it alive?")
async def livez(request: Request) -> Response:
    """Says that the process answers."""
    return MsgspecResponse(Health(status="ok", version=request.app.version))


@router.get("/readyz", summary="Does it take inputs?", responses=problems("draining", "store_unavailable"))
async def readyz(request: Request, engine: EngineDep) -> Response:
    """Says that this replica takes inputs; 503 while it drains, and while it has not reached its store for a lease."""
    if not engine.ready():
        return problem("draining")
    if engine.cut_off():
        return problem("store_unavailable")
    return MsgspecResponse(Health(status="ok", version=request.app.version))


@router.get("/health", summary="How is it?")
async def health(request: Request, engine: EngineDep) -> Response:
    """Says how this replica is; always 200 while it answers."""
    status = "draining" if not engine.ready() else "cut_off" if engine.cut_off() else "ok"
    return MsgspecResponse(Health(status=status, version=request.app.version))
