"""The documents keep the house rules, and each rule finds the sample that breaks it."""

import pytest

from app.settings import Settings, variables
from tests.style import documents
from tests.style.text import ROOT, files, shown

DECISIONS = ROOT / "docs" / "decisions"
GOOD = "# 0007 It rains\n\n## Context\n\nx\n\n## Decision\n\nx\n\n## Consequences\n\nx\n"


def default_of(value: object) -> str:
    """Gives a default as the environment would say it."""
    return "" if value in (None, ()) else str(value)


def test_decisions_are_numbered_and_whole() -> None:
    names = [path.name for path in DECISIONS.iterdir()]
    assert list(documents.wrong_numbers(names)) == []
    texts = {name: (DECISIONS / name).read_text("utf-8") for name in names}
    assert [finding for name, text in texts.items() for finding in documents.wrong_decision(name, text)] == []


def test_decisions_that_are_not_are_found() -> None:
    assert not list(documents.wrong_numbers(["0000-template.md", "0001-one-thing.md"]))
    for names in (["0000-a.md", "0002-b.md"], ["0000-a.md", "0000-b.md"], ["0000-Big.md"], ["0000.md"]):
        assert list(documents.wrong_numbers(names))
    assert not list(documents.wrong_decision("0007-rain.md", GOOD))
    for text in (GOOD.replace("0007", "0008"), GOOD.replace("## Decision", "Decision"), GOOD + "\n" * 60):
        assert list(documents.wrong_decision("0007-rain.md", text))


def test_no_path_of_one_machine_is_named() -> None:
    found = [(path, f) for path in files() for f in documents.machine_paths(path.read_text("utf-8"))]
    assert [f"{shown(path)}: {finding}" for path, finding in found] == []


@pytest.mark.parametrize("place", ["work", "root", "home", "tmp", "Users"])
def test_paths_of_one_machine_are_found(place: str) -> None:
    assert list(documents.machine_paths(f"see /{place}/me"))
    assert not list(documents.machine_paths(f"see x/{place}/me, /{place}space/me and https://a.example/{place}/me"))


def test_the_readme_names_every_target() -> None:
    makefile, readme = ((ROOT / name).read_text("utf-8") for name in ("Makefile", "README.md"))
    assert list(documents.untold_targets(makefile, readme)) == []
    assert "run" in makefile


def test_targets_that_are_untold_or_absent_are_found() -> None:
    makefile = "run: .venv ## starts\n\t@x\nhelp:\n\t@y\n"
    assert not list(documents.untold_targets(makefile, "`make run` starts, `make help` helps"))
    assert list(documents.untold_targets(makefile, "nothing"))
    assert list(documents.untold_targets(makefile, "`make run`, `make off`"))


def test_the_example_of_settings_is_the_settings() -> None:
    settings = {
        str(field.validation_alias): (str(field.description), default_of(field.default))
        for field in Settings.model_fields.values()
    }
    written, meant = (ROOT / ".env.example").read_text("utf-8"), documents.example(settings)
    assert written == meant
    for changed in (written.replace("8000", "8001"), written + "\n#BATON_NEW=1\n"):
        assert changed != meant


def test_the_readme_names_every_setting() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in variables() if f"`{name}`" not in readme] == []
