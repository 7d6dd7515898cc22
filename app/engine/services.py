"""What the engine stands on: the ports, made by bootstrap and never changed after."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.clock import Clock
from app.core.errors import ModelError
from app.core.ids import Ids, Incarnation
from app.engine.catalog import AgentCatalog
from app.engine.lease import Timing
from app.llm.base import Model
from app.stores.bundle import Stores
from app.tools.toolbox import Toolbox
from app.workspace.base import Workspaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a run needs."""

    incarnation: Incarnation
    """The first one; a replica that is declared dead goes on as another."""
    stores: Stores
    catalog: AgentCatalog
    models: Mapping[str, Model]
    """By provider name."""
    default_model: str
    toolbox: Toolbox
    workspaces: Workspaces
    clock: Clock
    ids: Ids
    slots: int = 64
    """Runs at a time."""
    timing: Timing = field(default_factory=Timing)

    def model(self, name: str | None) -> tuple[Model, str]:
        """Gives the provider and its own name for a `provider:model`. Raises ModelError for an unknown provider."""
        provider, _, model = (name or self.default_model).partition(":")
        if provider not in self.models:
            raise ModelError(f"no model provider is called {provider!r}; there are {', '.join(sorted(self.models))}")
        return self.models[provider], model
