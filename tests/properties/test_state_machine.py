"""The claim protocol, proven from outside: whatever happens to its sessions, the store keeps these promises.

Let a claim be *in force* from the reply that gives it until its release is accepted, its session is swept or deleted,
or a newer claim is given. A loss of the last writes makes the world what it was before them; a claim that was given in
them was never given, and one that they ended is in force again.

1. The store never accepts two claims. A commit is accepted only under the claim in force, whose numbers it continues;
   so none is accepted from a claim after a newer one was given, unless the newer one was lost. Each claim of one log
   has a higher epoch than all before it, and so has each record that names one.
2. A commit takes effect once: the newest one, repeated, gets its first answer and writes nothing.
3. A runner is never led on. If the store has lost anything that a claim or an accepted commit has told it, every later
   commit of its claim is refused, as stale or as regressed.
4. A release before everything that wants attention was seen is refused, and nothing is written.
5. Seqs have no gaps, what was written stays, an append compares the head it expects, and a refusal writes nothing.
6. A head tells what its log tells, and checkpoint and tail fold to the state of the whole log.
7. An input that was accepted is in the log once, however often it is sent, and one that was refused is not.
8. Once all is quiet nothing is stuck, and every input (after a loss: every surviving one) was answered in a run that
   had it in its context, or joined a run that saw it before it finished or was cancelled, or was withdrawn.
"""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.backends import BACKENDS, Backend, MemoryBackend
from tests.properties.machine import machine_over


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_store_keeps_its_promises(backend: type[Backend], effort: int) -> None:
    examples = 800 if backend is MemoryBackend else 80  # about as long for each: the others write to a disk
    wanted = settings(max_examples=examples * effort, stateful_step_count=40)
    run_state_machine_as_test(machine_over(backend), settings=wanted)
