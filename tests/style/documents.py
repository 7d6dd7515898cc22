"""The house rules for what is not code: each takes a text and gives what is wrong with it."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

HEADINGS = ["Context", "Decision", "Consequences"]
MAX_DECISION_LINES = 60

_MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|tmp|Users)/[\w.$*-]+")
_TARGET = re.compile(r"^(?P<name>[a-z]+):.*?(?P<public>##)?(?(public).*|[^#]*)$", re.MULTILINE)


def wrong_numbers(names: Sequence[str]) -> Iterator[str]:
    """Finds decisions that are not numbered 0000, 0001, … without a gap, in lower-case words."""
    for number, name in enumerate(sorted(names)):
        if not re.fullmatch(rf"{number:04}(-[a-z0-9]+)+\.md", name):
            yield f"{name} should be {number:04}-words.md"


def wrong_decision(name: str, text: str) -> Iterator[str]:
    """Finds a decision that lacks its title or one of its headings, or is longer than a decision needs."""
    if not text.startswith(f"# {name[:4]} "):
        yield f"{name} begins with its number and title"
    if re.findall(r"^## (.+)$", text, re.MULTILINE) != HEADINGS:
        yield f"{name} has the headings {', '.join(HEADINGS)}"
    if text.count("\n") > MAX_DECISION_LINES:
        yield f"{name} is longer than {MAX_DECISION_LINES} lines"


def machine_paths(text: str) -> Iterator[str]:
    """Finds paths of somebody's own machine."""
    return (f"{match[0]} is a path of one machine" for match in _MACHINE_PATH.finditer(text))


def untold_targets(makefile: str, readme: str) -> Iterator[str]:
    """Finds public targets that the README does not name, and targets that it names and nobody has."""
    targets = {match["name"]: bool(match["public"]) for match in _TARGET.finditer(makefile)}
    told = set(re.findall(r"\bmake ([a-z]+)", readme.replace("`", " ")))
    for name in sorted({name for name, public in targets.items() if public} - told):
        yield f"the README does not say what `make {name}` does"
    for name in sorted(told - targets.keys()):
        yield f"the README names `make {name}`, which does not exist"


def example(settings: Mapping[str, tuple[str, str]]) -> str:
    """Gives what .env.example says of settings: each one's meaning, and its default."""
    parts = ["# Every setting, with its default. Copy what you change to .env, or export it.\n"]
    for name, (meaning, default) in settings.items():
        told = textwrap.wrap(meaning[:1].upper() + meaning[1:] + ".", 110, break_on_hyphens=False)
        parts.append("\n".join(f"# {line}" for line in told) + f"\n#{name}={default}\n")
    return "\n".join(parts)
