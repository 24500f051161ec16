"""What ``torchserve`` starts: ``mar serve``'s server, with gRPC, workflows, snapshots and logs."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_serve import Extension, run

from mar_core import MarError
from mar_torchserve import command, logs, snapshots
from mar_torchserve.grpc_api.listeners import Listeners
from mar_torchserve.settings import read_settings
from mar_torchserve.workflows.api import WorkflowApi
from mar_torchserve.workflows.described import PATH_ITEMS
from mar_torchserve.workflows.store import WorkflowStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from mar_serve import ExtraRoute, Server

    from mar_torchserve.settings import Settings

__all__ = ["main"]

logger = logging.getLogger("mar_torchserve.server")


class TorchServe(Extension):
    """What TorchServe has and ``mar serve`` has not.

    Args:
        server: The server.
        settings: What it was told.
    """

    def __init__(self, server: Server, settings: Settings) -> None:
        super().__init__(server)
        self._settings = settings
        self._listeners = Listeners(server, settings)
        self._workflows = WorkflowStore(server, settings.workflow_store)

    def routes(self, kinds: Collection[str]) -> Iterator[ExtraRoute]:
        """The paths of workflows."""
        api = WorkflowApi(self._workflows)
        if "inference" in kinds:
            yield from api.inference()
        if "management" in kinds:
            yield from api.management()

    def openapi(self) -> dict[str, Any]:
        """The same paths for ``/openapi.json``."""
        return PATH_ITEMS

    async def started(self) -> None:
        """Listen for gRPC, and write the first snapshot."""
        await self._listeners.start()
        self._snapshot("startup")
        logger.info("Model server started.")

    async def changed(self) -> None:
        """Write a snapshot: a model has been registered, scaled, made the default or removed."""
        self._snapshot("snapshot")

    async def stopping(self, grace: float) -> None:
        """Take no more calls."""
        await self._listeners.stop(grace)
        self._snapshot("shutdown")
        await self._workflows.close()

    def _snapshot(self, kind: Any) -> None:
        settings = self._settings
        if settings.snapshots:
            models = dict(_models(self.server))
            snapshots.write(settings.log_folder, kind, settings.properties.values, models)


def _models(server: Server) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """What is served, as a snapshot holds it, of a model's versions the newest first.

    Nodes of workflows are left out, as in TorchServe.
    """
    for name, model in sorted(server.repository.models.items()):
        states = {
            version.version: {
                "defaultVersion": version.version == model.default,
                "marName": _source_of(server, version),
                "minWorkers": version.settings.min_workers,
                "maxWorkers": version.settings.max_workers,
                "batchSize": version.settings.batch_size,
                "maxBatchDelay": version.settings.max_batch_delay,
                "responseTimeout": version.settings.response_timeout,
                "startupTimeout": version.settings.startup_timeout,
                "runtimeType": version.prepared.manifest.data.get("runtime") or "python",
            }
            for version in reversed(model.versions.values())
            if "__" not in name or version.listed
        }
        if states:
            yield name, states


def _source_of(server: Server, version: Any) -> str:
    """Where a model is found again, by the model store where it is there: a path, never a URL."""
    found, store = version.found, server.config.model_store
    if found is None or not isinstance(found.source, Path):
        return str(version.url)
    source = found.source.resolve()
    if store is not None and source.is_relative_to(store.resolve()):
        return str(source.relative_to(store.resolve()))
    return str(source)


def _is_hidden(name: str, settings: Settings) -> bool:
    """Whether workers must not find a variable; they have the server's environment."""
    return settings.hidden is not None and settings.hidden.fullmatch(name) is not None


def main(words: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it.

    Args:
        words: ``torchserve``'s arguments; None takes those of this process.

    Returns:
        The exit code.
    """
    asked = command.parser().parse_args(list(sys.argv[1:] if words is None else words))
    try:
        settings = read_settings(asked, os.environ, Path.cwd())
        logs.configure(settings.log_folder, settings.metrics_folder)
        for warning in settings.warnings:
            logger.warning("%s", warning)
        os.environ.update(settings.environment)
        for name in [name for name in os.environ if _is_hidden(name, settings)]:
            del os.environ[name]
        run(settings.server, extend=lambda server: TorchServe(server, settings))
    except MarError as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence
        return 1
    except OSError as error:
        print(f"The logs cannot be written: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
