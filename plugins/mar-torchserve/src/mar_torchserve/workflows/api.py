"""The HTTP API of workflows: TorchServe's paths, statuses and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mar_serve import Answer, ServeError

from mar_core import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_serve import Call, ExtraRoute

    from mar_torchserve.workflows.store import WorkflowStore

__all__ = ["WorkflowApi"]

MOST = 100


class WorkflowApi:
    """``/workflows`` and ``/wfpredict``.

    Args:
        store: The workflows.
    """

    def __init__(self, store: WorkflowStore) -> None:
        self._store = store

    def inference(self) -> Iterator[ExtraRoute]:
        """The paths of the inference address."""
        yield "/wfpredict/{workflow}", self.predict, None, "inference"

    def management(self) -> Iterator[ExtraRoute]:
        """The paths of the management address."""
        yield "/workflows", self.workflows, None, "management"
        yield "/workflows/{workflow}", self.workflow, None, "management"

    async def predict(self, call: Call) -> Answer:
        """Ask a workflow."""
        request = Request(
            id=call.request_id,
            headers=call.handler_headers(),
            body=await call.body(),
            content_type=call.content_type,
            decode=call.server.config.decode,
        )
        body = await self._store.predict(call.params["workflow"], request)
        # TorchServe says so of one node's answer, too, whatever it is.
        return Answer(body, content_type=b"application/json")

    async def workflows(self, call: Call) -> Answer:
        """List, or register."""
        if call.method == "POST":
            url = call.query.get("url")
            if url is None:
                raise ServeError(400, "BadRequestException", "Parameter url is required.")
            name = call.query.get("workflow_name") or None
            return Answer({"status": await self._store.register(url, name)})
        if call.method in {"GET", "HEAD"}:
            limit = _number(call.query.get("limit"), MOST)
            token = _number(call.query.get("next_page_token"), 0)
            return Answer(self._store.list(limit, token))
        raise _not_allowed()

    async def workflow(self, call: Call) -> Answer:
        """Describe, or remove."""
        name = call.params["workflow"]
        if call.method in {"GET", "HEAD"}:
            return Answer(self._store.describe(name))
        if call.method == "DELETE":
            return Answer({"status": await self._store.unregister(name)})
        raise _not_allowed()


def _number(text: Any, default: int) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        return default


def _not_allowed() -> ServeError:
    return ServeError(
        405, "MethodNotAllowedException",
        "Requested method is not allowed, please refer to API document.",
    )  # fmt: skip
