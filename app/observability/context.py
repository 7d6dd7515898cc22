"""What every log line of a runner says of itself: whose claim it is under. Never what was said in the session."""

from structlog.contextvars import bind_contextvars, clear_contextvars


def bind_claim(*, session: str, incarnation: str, epoch: int, run_id: str | None) -> None:
    """Every line that this task logs from now on, and every task it starts, names that claim.

    Called again when the claim or the run changes, it replaces what it said before. `session` is the encoded key.
    """
    clear_contextvars()
    bind_contextvars(session=session, incarnation=incarnation, epoch=epoch)
    if run_id is not None:
        bind_contextvars(run_id=run_id)
