"""The page at `/`: a chat without a build step."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> HTMLResponse:
    """Gives the page."""
    return HTMLResponse("<h1>Baton</h1>")
