"""Which models there are, in which versions, and how they come and go."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mar_core import MarError, PackagesError, Severity, ValidationError, examine_in_child
from mar_serve.config import Overrides
from mar_serve.errors import (
    conflict,
    forbidden,
    invalid_model,
    model_not_found,
    model_version_not_found,
    no_packages,
    no_start,
    timed_out,
    version_not_found,
)
from mar_serve.parts import Host
from mar_serve.settings import settings_of
from mar_serve.version import ModelVersion

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from mar_core import ArchiveRequest, Prepared, Recipe, Signature
    from mar_serve.errors import ServeError
    from mar_serve.sources import Found

__all__ = ["Home", "Model", "Repository"]

# The rules about the archive as a file, and what TorchServe says of one that it cannot read.
UNREADABLE = "MAR-A"
NO_NAME = "Model name is not defined."

logger = logging.getLogger("mar_serve.models")


class Model:
    """A model: its versions, and the one that is asked where none is named.

    Args:
        name: Its name.
        version: Its first version, which becomes the default.
    """

    def __init__(self, name: str, version: ModelVersion) -> None:
        self.name = name
        self.versions = {version.version: version}
        self.default = version.version


class Home(Host, Protocol):
    """The server, for its models."""

    def recipe(
        self,
        source: Path | ArchiveRequest,
        *,
        batch_size: int | None = None,
        handler: str | None = None,
    ) -> Recipe:
        """How an archive is loaded here."""

    def hold(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something to its end, whoever waits for it."""


class Repository:
    """The models that are served.

    Args:
        server: The server.

    Attributes:
        models: Them, by name.
    """

    def __init__(self, server: Home) -> None:
        self._server = server
        self.models: dict[str, Model] = {}

    def find(self, name: str, version: str | None = None) -> ModelVersion:
        """A version of a model, the default where none is named.

        Raises:
            ServeError: There is no such model or version.
        """
        model = self.models.get(name)
        if model is None:
            raise model_not_found(f"Model not found: {name}")
        found = model.versions.get(model.default if version is None else version)
        if found is None:
            raise version_not_found(name, version or model.default)
        return found

    def model(self, name: str) -> Model:
        """A model.

        Raises:
            ServeError: There is none of that name.
        """
        self.find(name)
        return self.models[name]

    def all(self) -> Iterable[ModelVersion]:
        """Every version of every model."""
        return [version for model in self.models.values() for version in model.versions.values()]

    @property
    def signatures(self) -> dict[str, Signature]:
        """What models take and give, by their names, where that is known."""
        defaults = {name: self.find(name) for name in self.models}
        return {
            name: version.prepared.signature
            for name, version in defaults.items()
            if version.listed and version.prepared.signature is not None
        }

    @property
    def ready(self) -> bool:
        """Whether every model answers."""
        return all(model.versions[model.default].ready for model in self.models.values())

    async def examine(self, found: Found, *, handler: str | None = None) -> None:
        """Look at an archive that a client brought, in a process with limits.

        Whatever it costs to read, this server goes on. With another handler than its own, only what
        it costs and whether it can be read count here.

        Raises:
            MarError: It cannot be served; a ``ValidationError`` has the findings.
        """
        if not isinstance(found.source, Path):
            return
        config = self._server.config
        findings = await asyncio.to_thread(
            examine_in_child, found.source, allow_pickle=config.allow_pickle
        )
        errors = [one for one in findings if one.severity is Severity.ERROR]
        if handler is not None:
            errors = [one for one in errors if one.code.startswith(("MAR-A", "MAR-L"))]
        if errors:
            raise ValidationError(f"{found.url} is not sound.", findings)

    async def prepare(self, found: Found, *wins: Overrides, handler: str | None = None) -> Prepared:
        """Validate and unpack an archive.

        Args:
            found: The archive.
            *wins: What wins over its own configuration.
            handler: What to load in place of the handler that it names.

        Raises:
            MarError: It cannot be served; a ``ValidationError`` has the findings.
        """
        sizes = [one.batch_size for one in wins if one.batch_size is not None]
        size = sizes[-1] if sizes else None
        recipe = self._server.recipe(found.source, batch_size=size, handler=handler)
        return await asyncio.to_thread(recipe.prepare)

    def add(
        self,
        prepared: Prepared,
        found: Found,
        *wins: Overrides,
        name: str | None = None,
        from_start: bool = False,
        default_workers: int | None = None,
    ) -> ModelVersion:
        """Take a version up; its workers are not started.

        Args:
            prepared: The archive.
            found: Where it came from.
            *wins: What wins over its own configuration.
            name: What to call the model; None takes the archive's name.
            from_start: Whether this is before the server is ready.
            default_workers: Workers where it asks for no number; None takes the server's.

        Raises:
            ServeError: That version is there already.
        """
        made = self._made(prepared, found.url, *wins, name=name or prepared.name)
        made.from_start, made.found = from_start, found
        settings = made.settings
        if default_workers is not None and not settings.from_archive:
            settings.min_workers = settings.max_workers = default_workers
        model = self.models.get(made.name)
        if model is None:
            self.models[made.name] = Model(made.name, made)
        else:
            model.versions[made.version] = made
        return made

    async def replace(
        self, old: ModelVersion, prepared: Prepared, *wins: Overrides
    ) -> ModelVersion:
        """Put another archive in a version's place, without a request that fails.

        Returns:
            The version that is there now.

        Raises:
            MarError: It cannot be loaded; the old one goes on.
            ServeError: Its version is another's.
        """
        fresh = self._made(prepared, old.url, *wins, name=old.name, instead_of=old.version)
        fresh.from_start, fresh.listed, fresh.found = old.from_start, old.listed, old.found
        try:
            await fresh.scale(fresh.settings.min_workers, fresh.settings.max_workers)
        except BaseException:
            await fresh.stop(0.1)
            raise
        model = self.models.get(old.name)
        if model is None or model.versions.get(old.version) is not old:
            await fresh.stop(0.1)  # it was removed meanwhile
            return old
        del model.versions[old.version]
        model.versions[fresh.version] = fresh
        if model.default == old.version:
            model.default = fresh.version
        logger.info("%s: replaced by %s", old, fresh)
        self._server.hold(old.stop(self._patience(old)))
        return fresh

    def _made(
        self,
        prepared: Prepared,
        url: str,
        *wins: Overrides,
        name: str,
        instead_of: str | None = None,
    ) -> ModelVersion:
        """A version with the settings that the server's configuration has for it."""
        config = self._server.config
        version = prepared.manifest.model_version or "1.0"
        model = self.models.get(name)
        if model is not None and version != instead_of and version in model.versions:
            raise conflict(f"Model version {version} is already registered for model {name}")
        own = config.per_model.get(name, {}).get(version, Overrides())
        return ModelVersion(
            self._server,
            name,
            version,
            url=url,
            prepared=prepared,
            settings=settings_of(name, prepared.config, config, own, *wins),
        )

    async def remove(self, name: str, version: str | None) -> None:
        """Remove a version; the only one, and one that is not named, takes the model with it.

        What was downloaded for it leaves the model store.

        Raises:
            ServeError: There is none, it is the default of several, or it does not end in time:
                then it stays, without workers, until it is removed again.
        """
        model = self.model(name)
        found = self.find(name, version)
        if len(model.versions) > 1:
            if found.version == model.default:
                raise forbidden(
                    f"Cannot remove default version for model {name}",
                    "InvalidModelVersionException",
                )
            del model.versions[found.version]
        else:
            del self.models[name]
        if not found.ended:
            ending = self._server.hold(found.stop(self._patience(found)))
            try:
                async with asyncio.timeout(self._server.config.unregister_timeout):
                    await asyncio.shield(ending)
            except TimeoutError:
                self._put_back(model, found)
                raise timed_out(f"Timed out while cleaning resources: {name}") from None
        if found.found is not None:
            found.found.discard()

    def _put_back(self, model: Model, version: ModelVersion) -> None:
        """Have a version again that did not end in time, unless another has taken its place."""
        version.settings.min_workers = version.settings.max_workers = 0
        there = self.models.setdefault(model.name, model)
        if there is model:
            model.versions.setdefault(version.version, version)

    async def remove_all(self, name: str) -> None:
        """Remove a model with every version.

        Raises:
            ServeError: There is none of that name.
        """
        model = self.model(name)
        del self.models[name]
        grace = self._server.config.grace
        await asyncio.gather(*(version.stop(grace) for version in model.versions.values()))

    def _patience(self, version: ModelVersion) -> float:
        """Seconds for what a version has taken when another takes its place."""
        return max(self._server.config.grace, 2.0 * version.settings.response_timeout)

    def set_default(self, name: str, version: str) -> None:
        """Make a version the one that is asked where none is named.

        Raises:
            ServeError: There is no such model or version.
        """
        model = self.model(name)
        if version not in model.versions:
            raise model_version_not_found(
                f"Model version {version} does not exist for model {name}"
            )
        model.default = version

    async def start(self, version: ModelVersion) -> None:
        """Start a version's workers; one that cannot be loaded is removed again.

        Raises:
            ServeError: It cannot be loaded.
        """
        settings = version.settings
        try:
            await version.scale(settings.min_workers, settings.max_workers)
        except (MarError, OSError) as error:
            logger.error("%s cannot be loaded: %s", version, error)  # noqa: TRY400 - a sentence
            await self._withdraw(version)
            raise no_start(version.name, version.version, error) from error

    async def _withdraw(self, version: ModelVersion) -> None:
        model = self.models.get(version.name)
        if model is not None and model.versions.get(version.version) is version:
            del model.versions[version.version]
            if not model.versions:
                del self.models[version.name]
            elif model.default == version.version:
                model.default = next(reversed(model.versions))
        await version.stop(0.1)
        if version.found is not None:
            version.found.discard()


def refusal(error: MarError, found: Found, name: str | None) -> ServeError:
    """What a client is told of an archive that cannot be served: findings, and no paths."""
    if isinstance(error, ValidationError):
        findings = [finding.to_dict() for finding in error.findings]
        unreadable = any(finding.code.startswith(UNREADABLE) for finding in error.findings)
        return invalid_model(NO_NAME if unreadable else "The archive failed validation.", findings)
    text = error.message.replace(str(found.source), found.url)
    findings = [{"severity": "error", "message": text}]
    if isinstance(error, PackagesError):
        return no_packages(name or Path(found.url).name.partition(".")[0], findings)
    return invalid_model(NO_NAME, findings)
