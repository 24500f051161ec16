"""Which workflows there are; registering one serves its nodes, removing it ends them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mar_serve import ModelSource, Overrides, ServeError

from mar_core import ArchiveRequest, MarError, PackagesError
from mar_torchserve.workflows.archive import WorkflowArchive, unpacked
from mar_torchserve.workflows.execution import execute, model_name

if TYPE_CHECKING:
    from pathlib import Path

    from mar_serve import Server

    from mar_core import Request
    from mar_torchserve.workflows.specification import Node

__all__ = ["WorkflowStore"]

logger = logging.getLogger("mar_torchserve.workflows")
NOT_FOUND = "WorkflowNotFoundException"
MISSING, NO_START = 404, 500


@dataclass(slots=True)
class _Served:
    """A workflow, where it is from, and the file that was fetched for it."""

    archive: WorkflowArchive
    url: str
    fetched: Path | None


class WorkflowStore:
    """The workflows of one server.

    Args:
        server: Where their nodes are served.
        folder: The workflow store; archives come from there, or from URLs that are allowed.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._served: dict[str, _Served] = {}
        self._changing = asyncio.Lock()

    async def register(self, url: str, name: str | None) -> str:
        """Take a workflow up and start every node.

        All or nothing: a node that cannot be loaded takes those that could away again.

        Returns:
            What TorchServe says.

        Raises:
            ServeError: There is none there, it is there already, or it cannot be served.
        """
        async with self._changing:
            path = await self._found(url)
            fetched = path if "://" in url else None
            try:
                archive = await self._unpacked_and_started(path, name)
            except BaseException:
                _discard(fetched)
                raise
            self._served[archive.name] = _Served(archive, url, fetched)
        return f"Workflow {archive.name} has been registered and scaled successfully."

    async def _unpacked_and_started(self, path: Path, name: str | None) -> WorkflowArchive:
        try:
            archive = await asyncio.to_thread(unpacked, path, name=name)
        except MarError as error:
            raise ServeError(400, "InvalidWorkflowException", error.message) from error
        called = archive.name
        if called in self._served:
            shutil.rmtree(archive.folder, ignore_errors=True)
            raise ServeError(
                409, "ConflictStatusException", f"Workflow {called} is already registered."
            )
        try:
            await self._start(archive)
        except BaseException:
            await self._end(archive)
            raise
        return archive

    async def unregister(self, name: str) -> str:
        """Remove a workflow and its nodes.

        Raises:
            ServeError: There is none of that name.
        """
        async with self._changing:
            found = self._find(name)
            del self._served[name]
            await self._end(found.archive)
            _discard(found.fetched)
        return f'Workflow "{name}" unregistered'

    def describe(self, name: str) -> list[dict[str, Any]]:
        """A workflow, as the management API gives it.

        Raises:
            ServeError: There is none of that name.
        """
        found = self._find(name)
        numbers = found.archive.specification.numbers
        return [
            {
                "workflowName": name,
                "workflowUrl": found.url,
                "minWorkers": numbers["min-workers"],
                "maxWorkers": numbers["max-workers"],
                "batchSize": numbers["batch-size"],
                "maxBatchDelay": numbers["max-batch-delay"],
                "workflowDag": found.archive.specification.text,
            }
        ]

    def list(self, limit: int, token: int) -> dict[str, Any]:
        """A page of the workflows, by name."""
        names = sorted(self._served)
        start = max(token, 0)
        end = start + (limit if limit > 0 else 100)
        page: dict[str, Any] = {"nextPageToken": str(end)} if end < len(names) else {}
        page["workflows"] = [
            {"workflowName": name, "workflowUrl": self._served[name].url}
            for name in names[start:end]
        ]
        return page

    async def predict(self, name: str, request: Request) -> bytes:
        """Answer a request.

        Returns:
            The last node's answer; those of several as one JSON object by their names.

        Raises:
            ServeError: There is no such workflow, or a node failed.
        """
        found = self._find(name)
        answers = await execute(self._server, name, found.archive.specification, request)
        if len(answers) == 1:
            return next(iter(answers.values()))
        document = {node: _as_json(answer) for node, answer in answers.items()}
        return json.dumps(document, indent=2).encode() + b"\n"

    async def close(self) -> None:
        """Forget everything, when the server ends."""
        for found in self._served.values():
            shutil.rmtree(found.archive.folder, ignore_errors=True)
        self._served.clear()

    def _find(self, name: str) -> _Served:
        found = self._served.get(name)
        if found is None:
            raise ServeError(404, NOT_FOUND, f"Workflow not found: {name}")
        return found

    async def _found(self, url: str) -> Path:
        """The archive as a file of this machine."""
        if not url:
            raise ServeError(404, NOT_FOUND, "empty url")
        if ".." in url:
            raise ServeError(404, NOT_FOUND, f"Relative path is not allowed in url: {url}")
        if "://" in url:
            return await self._server.fetch(url, self._folder)
        path = self._folder / url
        inside = path.resolve().is_relative_to(self._folder.resolve())
        if not inside or path.suffix != ".war" or not path.is_file():
            raise ServeError(404, NOT_FOUND, f"Workflow not found in workflow store: {url}")
        return path

    async def _start(self, archive: WorkflowArchive) -> None:
        for node in archive.specification.nodes.values():
            source = ModelSource(
                name=model_name(archive.name, node.name),
                source=self._source(archive, node),
                overrides=Overrides(
                    min_workers=node.min_workers,
                    max_workers=max(node.min_workers, node.max_workers),
                    batch_size=node.batch_size,
                    max_batch_delay=node.max_batch_delay,
                ),
                listed=node.url is not None,
            )
            try:
                await self._server.serve(source)
            except (ServeError, MarError) as error:
                logger.warning("workflow %s: %s: %s", archive.name, node.name, error)
                raise ServeError(
                    500, "InternalServerException",
                    f"Workflow {archive.name} has failed to register. Failures: "
                    f"[{_told(str(source.name), error)}]",
                ) from error  # fmt: skip

    def _source(self, archive: WorkflowArchive, node: Node) -> str | ArchiveRequest:
        if node.url is not None:
            return node.url
        folder = archive.folder
        return ArchiveRequest(
            model_name=model_name(archive.name, node.name),
            version="1.0",
            handler=f"{folder / str(archive.handler)}:{node.name}",
            extra_files=tuple(_extra(folder, file) for file in archive.files),
        )

    async def _end(self, archive: WorkflowArchive) -> None:
        for node in archive.specification.nodes:
            try:
                await self._server.remove(model_name(archive.name, node))
            except ServeError as error:
                if error.status != MISSING:
                    raise
        shutil.rmtree(archive.folder, ignore_errors=True)


def _discard(fetched: Path | None) -> None:
    if fetched is not None:
        with contextlib.suppress(OSError):
            fetched.unlink()


def _told(node: str, error: ServeError | MarError) -> str:
    """Why a node is not there, in TorchServe's words."""
    if isinstance(error, ServeError) and error.status >= NO_START:
        return error.message
    text = error.message
    if isinstance(error, PackagesError):
        text = f"Custom pip package installation failed for model {node}"
    return f"Workflow Node {node} failed to register. Details: {text}"


def _extra(folder: Path, file: str) -> str:
    """A file as ``extra_files`` takes it: in the folder that it has in the archive."""
    parent = PurePosixPath(file).parent.as_posix()
    return str(folder / file) if parent == "." else f"{folder / file}={parent}/"


def _as_json(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return answer.decode("utf-8", "replace")
