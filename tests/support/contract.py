"""`openapi.json` as a judge: whether a response, or an event, keeps what the document promises."""

import json
import re
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator

DOCUMENT = Path(__file__).parents[2] / "openapi.json"

Json = dict[str, Any]


class BrokenContract(AssertionError):
    """The server answered something else than its document says."""


class Contract:
    """The document, and stricter than it: a field that the document does not know is a fault here."""

    def __init__(self, document: Json) -> None:
        self._components = {"schemas": {k: _closed(v) for k, v in document["components"]["schemas"].items()}}
        self._validators: dict[str, Any] = {}
        paths = cast("dict[str, Json]", document["paths"])
        branches = [branch["properties"] for branch in document["components"]["schemas"]["Event"]["oneOf"]]
        self.events: Json = {branch["event"]["const"]: branch["data"]["contentSchema"] for branch in branches}
        self._paths = [(_pattern(path), operations) for path, operations in paths.items()]

    @classmethod
    def load(cls) -> "Contract":
        """Gives the committed document."""
        return cls(json.loads(DOCUMENT.read_bytes()))

    def check(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Raises BrokenContract unless the response is one that the document describes."""
        media = content_type.partition(";")[0]
        response = self._response(method, path, status)
        content = response.get("content", {})
        if not content and body:
            raise BrokenContract(f"{method} {path} answered {status} with a body: {body[:200]!r}")
        if content and media not in content:
            raise BrokenContract(f"{method} {path} answered {status} as {media}, not {list(content)}")
        if media.endswith("json"):
            self._validate(content[media]["schema"], json.loads(body), f"{method} {path} {status}")

    def check_event(self, event: str, data: Json) -> None:
        """Raises BrokenContract unless that is the data of such an event."""
        schema = self.events.get(event)
        if schema is None:
            raise BrokenContract(f"no event is called {event!r}")
        self._validate(schema, data, f"event {event}")

    def _response(self, method: str, path: str, status: int) -> Json:
        operations = [found for pattern, found in self._paths if pattern.fullmatch(path)]
        operation = operations[0].get(method.lower()) if operations else None
        if operation is None and status in {400, 404, 405, 413, 431}:
            return {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        if operation is None or str(status) not in operation["responses"]:
            raise BrokenContract(f"{method} {path} may not answer {status}")
        return operation["responses"][str(status)]

    def _validate(self, schema: Json, value: object, what: str) -> None:
        key = json.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, "components": self._components})
        error = next(iter(self._validators[key].iter_errors(value)), None)
        if error is not None:
            raise BrokenContract(f"{what}: {error.message} at {error.json_path}")


def _closed(schema: Json) -> Json:
    return {"additionalProperties": False, **schema} if "properties" in schema else schema


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
