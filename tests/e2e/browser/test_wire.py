"""The page's parsers: events out of text however it is cut (sse.js), and blocks out of Markdown (markdown.js)."""

from typing import Any

import pytest

from tests.e2e.browser.modules import Modules

pytestmark = pytest.mark.asyncio(loop_scope="package")

PARSE = "({parser}, pieces) => { const push = parser(); return pieces.flatMap((piece) => push(piece)); }"
STREAM = 'retry: 1000\n\n: hello\n\nid: a.1\nevent: run.started\ndata: {"x":"é👋"}\n\ndata: one\ndata: two\n\n'
EVENTS = [
    {"id": "a.1", "type": "run.started", "data": '{"x":"é👋"}'},
    {"id": "a.1", "type": "message", "data": "one\ntwo"},
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_events_are_the_same_however_the_stream_is_cut(modules: Modules, end: str) -> None:
    stream = STREAM.replace("\n", end) + ":" + end
    cuts = [[stream], list(stream), [stream[i : i + 7] for i in range(0, len(stream), 7)]]

    for pieces in cuts:
        assert await modules.call("sse", PARSE, pieces) == EVENTS


async def test_an_unfinished_event_is_no_event(modules: Modules) -> None:
    assert await modules.call("sse", PARSE, ["id: a.1\nevent: delta\ndata: {}\n"]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\n\nthree", [("paragraph", ["one", "two"]), ("paragraph", ["three"])]),
        ("# T\ntext", [("heading", ["T"]), ("paragraph", ["text"])]),
        ("- a\n- b\n  more", [("bullets", ["a", "b\nmore"])]),
        ("3. a\n4. b", [("numbers", ["a", "b"])]),
        (
            "```py\n# no heading\n\n- no list\n```\nafter",
            [("code", ["# no heading", "", "- no list"]), ("paragraph", ["after"])],
        ),
        ("````\n```\n````", [("code", ["```"])]),
        ("```\nnever closed", [("code", ["never closed"])]),
        ("", []),
    ],
)
async def test_blocks(modules: Modules, text: str, expected: list[Any]) -> None:
    found = await modules.call("markdown", "({blocks}, text) => blocks(text)", text)

    assert [(block["kind"], block["lines"]) for block in found] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a `b **c**` d", "a <code>b **c**</code> d"),
        ("**b `c`** *i*", "<strong>b <code>c</code></strong> <em>i</em>"),
        ("2 * 3 * 4 and snake_case ** x **", "2 * 3 * 4 and snake_case ** x **"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x](//evil.example)", "[x](//evil.example)"),
        ("[x](data:text/html,hi)", "[x](data:text/html,hi)"),
        ("<b>&", "&lt;b&gt;&amp;"),
    ],
)
async def test_inline(modules: Modules, text: str, expected: str) -> None:
    markup = (
        "({inline}, text) => { const p = document.createElement('p'); p.append(...inline(text)); return p.innerHTML; }"
    )

    assert await modules.call("markdown", markup, text) == expected


async def test_links_are_only_to_the_web(modules: Modules) -> None:
    links = "({inline}, text) => { const [a] = inline(text); return [a.href, a.rel, a.textContent]; }"

    assert await modules.call("markdown", links, "[x](https://example.com/?a=b)") == [
        "https://example.com/?a=b",
        "noopener noreferrer",
        "x",
    ]


async def test_trap_a_hostile_text_does_not_freeze_the_page(modules: Modules) -> None:
    """The search for inline marks is quadratic at worst, so it is bounded."""
    clock = "({inline}, text) => { const start = performance.now(); inline(text); return performance.now() - start; }"

    for text in ("**a " * 100_000, "*a " * 2_000, "`" * 9_000 + "a", "[" * 9_000, "**a " * 2_400):
        assert await modules.call("markdown", clock, text) < 2_000
