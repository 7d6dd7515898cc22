"""What the golden logs were written from. A case that has its files is history: change nothing, add another."""

from collections.abc import Callable

from app.core.ids import RunId
from app.core.messages import TextPart
from app.core.records import (
    AnyRecord,
    ContextCompacted,
    Effect,
    Fault,
    InputWithdrawn,
    RunQueued,
    StatePatched,
    Todo,
    WorkspaceCommitted,
)
from tests.golden.pen import Pen


def plain_turn() -> list[AnyRecord]:
    """Two questions, two answers."""
    pen = Pen("Capitals")
    pen.start("one", "What is the capital of France?")
    pen.answer("Paris.")
    pen.finish()
    pen.start("two", "And of Italy? Ünïcödé, please: 🇮🇹")
    pen.answer("Roma 🇮🇹.")
    pen.finish()
    return pen.records


def parallel_tools() -> list[AnyRecord]:
    """Three calls side by side; their results come in another order, one of them an error."""
    pen = Pen("Tidying up")
    pen.start("one", "What is in notes.txt, and is there a build directory?")
    read = pen.call(1, "read_file", '{"path": "notes.txt"}')
    listed = pen.call(2, "execute", '{"command": "ls build"}')
    plan = pen.call(3, "todo_write", '{"todos": [{"text": "look around"}]}')
    pen.answer("Let me look.", read, listed, plan)
    pen.started(listed, Effect.UNSAFE)
    pen.write(StatePatched(at=pen.at, run_id=pen.run, todos=(Todo(text="look around", status="in_progress"),)))
    pen.result(plan, "1 item")
    pen.result(listed, "ls: cannot access 'build': No such file or directory", "error")
    pen.result(read, "buy milk")
    pen.batch_done()
    pen.answer("The notes say “buy milk”; there is no build directory.")
    pen.write(WorkspaceCommitted(at=pen.at, generation=1, manifest="sha256:0123"))
    pen.finish()
    return pen.records


def steer_in_mid_answer() -> list[AnyRecord]:
    """An input joins while the model answers; the model is asked again and sees it after its own first answer."""
    pen = Pen("A poem")
    pen.start("one", "Write a poem about the sea.")
    asked = pen.seq
    pen.steer("In French, please.")
    pen.answer("The sea, the sea.", seen=asked)
    pen.answer("La mer, la mer.")
    pen.finish()
    return pen.records


def cancelled_answer() -> list[AnyRecord]:
    """A cancel comes while the model answers; what was shown stays. A queued input is withdrawn, the next one runs."""
    pen = Pen("Stop")
    pen.start("one", "Count to a million.")
    waiting = RunId("run_0123456789abcdef_waiting")
    pen.write(RunQueued(at=pen.at, run_id=waiting, input=(TextPart(text="Never mind."),)))
    asked = pen.seq
    pen.cancel("by the user")
    pen.write(InputWithdrawn(at=pen.at, run_id=waiting))
    pen.answer("1, 2, 3, 4", seen=asked, incomplete=True)
    pen.finish("cancelled")
    pen.start("two", "How far did you get?")
    pen.answer("To four.")
    pen.finish()
    return pen.records


def takeover_in_doubt() -> list[AnyRecord]:
    """A replica dies between an unsafe call and its result; the next one says so, and a later run fails cleanly."""
    pen = Pen("Deploying")
    pen.start("one", "Deploy it.")
    look, deploy = pen.call(1, "read_file", '{"path": "env"}'), pen.call(2, "execute", '{"command": "make deploy"}')
    pen.answer("Deploying.", look, deploy)
    pen.started(deploy, Effect.UNSAFE)
    pen.result(look, "production")
    pen.resumed(2, "takeover")
    pen.result(deploy, "The outcome of this call is unknown.", "unknown")
    pen.batch_done()
    pen.answer("I cannot say whether it was deployed. Shall I check?")
    pen.finish()
    pen.start("two", "Yes.")
    check = pen.call(1, "execute", '{"command": "make status"}')
    pen.answer("Checking.", check)
    pen.started(check, Effect.UNSAFE)
    pen.finish("failed", Fault(code="model_error", message="the provider is down"))
    return pen.records


def compaction() -> list[AnyRecord]:
    """A long conversation is cut to its last exchange, twice, and goes on."""
    pen = Pen("A long one")
    for turn in ("one", "two", "three"):
        pen.start(turn, f"Question {turn}?")
        pen.answer(f"Answer {turn}.")
        pen.write(ContextCompacted(at=pen.at, run_id=pen.run, keep=2, summary=f"They talked up to {turn}."))
        pen.finish()
    pen.start("four", "Question four?")
    pen.write(ContextCompacted(at=pen.at, run_id=pen.run, keep=1))
    pen.answer("Answer four.")
    pen.finish()
    return pen.records


CASES: dict[str, Callable[[], list[AnyRecord]]] = {
    case.__name__: case
    for case in (
        plain_turn,
        parallel_tools,
        steer_in_mid_answer,
        cancelled_answer,
        takeover_in_doubt,
        compaction,
    )
}
