"""The figures, for Prometheus: open to all like the health checks, for they say nothing of any tenant.

Not in `openapi.json`: the format is Prometheus's, and the figures are for operators (`docs/operations.md`).
"""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.api.responses import JSON_HEADERS
from app.observability.exposition import Exposition


def metrics_router(exposition: Exposition) -> APIRouter:
    """Gives the route `/metrics`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def metrics(accept: Annotated[str, Header()] = "") -> Response:
        """Gives all figures of this replica, in OpenMetrics for those who accept it."""
        found = await exposition.scrape(accept)
        return Response(found.body, media_type=found.media_type, headers=JSON_HEADERS)

    return router
