"""Runs a workflow: each node as soon as everything that feeds it has answered."""

from __future__ import annotations

import asyncio
import graphlib
import logging
import uuid
from typing import TYPE_CHECKING

from mar_serve import ServeError

from mar_core import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mar_serve import Server

    from mar_torchserve.workflows.specification import Node, Specification

__all__ = ["execute", "model_name"]

logger = logging.getLogger("mar_torchserve.workflows")
FAILED = 500


def model_name(workflow: str, node: str) -> str:
    """What a node is called among the models."""
    return f"{workflow}__{node}"


async def execute(
    server: Server, workflow: str, specification: Specification, request: Request
) -> dict[str, bytes]:
    """Answer a request.

    The first node gets the request; each other one the answers of the nodes that feed it, as
    ``body`` where that is one, else each under its node's name.

    Args:
        server: Whose models the nodes are.
        workflow: The workflow's name.
        specification: What feeds what.
        request: The request.

    Returns:
        The answers of the nodes that feed nothing, by name.

    Raises:
        ServeError: A node has failed, as often as it may.
    """
    before = specification.predecessors
    sorter = graphlib.TopologicalSorter(before)
    sorter.prepare()
    answers: dict[str, bytes] = {}
    running: dict[asyncio.Task[bytes], str] = {}
    try:
        while sorter.is_active():
            for name in sorter.get_ready():
                given = _given(before[name], answers, request)
                call = _call(server, workflow, specification.nodes[name], given)
                running[asyncio.create_task(call)] = name
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                name = running.pop(task)
                answers[name] = task.result()
                sorter.done(name)
    finally:
        for task in running:
            task.cancel()
    return {
        name: answers[name] for name in specification.nodes if not specification.feeds.get(name)
    }


def _given(before: list[str], answers: Mapping[str, bytes], request: Request) -> Request:
    if not before:
        return request._replace(id=str(uuid.uuid4()))
    row = (
        {"body": bytearray(answers[before[0]])}
        if len(before) == 1
        else {one: bytearray(answers[one]) for one in before}
    )
    return Request(id=str(uuid.uuid4()), headers=request.headers, row=row)


async def _call(server: Server, workflow: str, node: Node, request: Request) -> bytes:
    seconds = node.timeout_ms / 1000
    for attempt in range(node.retry_attempts + 1):
        try:
            asked = server.predict(model_name(workflow, node.name), None, request, seconds=seconds)
            reply = await asyncio.wait_for(asked, seconds)
        except (ServeError, TimeoutError) as error:
            text = error.message if isinstance(error, ServeError) else f"no answer in {seconds} s"
            logger.warning(
                "workflow %s: attempt %d at %s failed: %s", workflow, attempt + 1, node.name, text
            )
        else:
            return reply.body
    raise ServeError(FAILED, "InternalServerException", f"Error executing {node.name}")
