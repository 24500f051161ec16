"""``ts.async_service``: a worker of TorchServe's whose handler answers several batches at once."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
import traceback
from typing import Any

from mar_core.ts.otf_message_handler import PREDICT_MSG, retrieve_msg
from mar_core.ts.service import Service, answer, error_message

__all__ = ["AsyncService", "predict"]


async def predict(self: Service, batch: list[dict[str, Any]]) -> bytearray | None:
    """Answer a batch with a context of its own, as the message that TorchServe's server reads.

    Args:
        self: The service; its handler's ``handle`` is a coroutine function.
        batch: The requests, as ``retrieve_msg`` gives them.
    """
    headers, data, ids = Service.retrieve_data_for_inference(batch)
    context = copy.deepcopy(self.context)
    context.request_ids, context.request_processor = ids, headers
    context.cl_socket = self.cl_socket
    context.metrics.request_ids = ids
    start = time.perf_counter()
    try:
        results = await self._entry_point(data, context)
    except Exception as error:  # noqa: BLE001 - handlers raise what they like
        return error_message(error, ids)
    return answer(results, data, context, time.perf_counter() - start)


class AsyncService:
    """Reads batches from the service's socket and answers each when it is done.

    Args:
        service: The service; ``set_cl_socket`` has given it its socket.
    """

    def __init__(self, service: Any) -> None:
        self.service = service
        self._sending = asyncio.Lock()

    async def call_predict(self, batch: list[dict[str, Any]]) -> None:
        """Answer one batch."""
        response = await predict(self.service, batch)
        if response is not None:
            async with self._sending:
                await asyncio.to_thread(self.service.cl_socket.sendall, response)

    def run(self) -> str | None:
        """Answer until the server closes the connection.

        Returns:
            The traceback of what went wrong, or None.
        """
        try:
            asyncio.run(self._serve())
        except Exception:  # noqa: BLE001 - whoever started the worker reports it
            return traceback.format_exc()
        return None

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        messages: asyncio.Queue[Any] = asyncio.Queue()
        reader = threading.Thread(target=self._receive, args=(loop, messages), daemon=True)
        reader.start()
        async with asyncio.TaskGroup() as tasks:
            while (message := await messages.get()) is not None:
                if isinstance(message, Exception):
                    raise message
                tasks.create_task(self.call_predict(message))

    def _receive(self, loop: asyncio.AbstractEventLoop, messages: asyncio.Queue[Any]) -> None:
        """Hand messages to the loop; None once the server has closed the connection."""

        def hand_over(message: Any) -> None:
            loop.call_soon_threadsafe(messages.put_nowait, message)

        try:
            while True:
                command, message = retrieve_msg(self.service.cl_socket)
                if command == PREDICT_MSG:
                    hand_over(message)
        except SystemExit:
            hand_over(None)
        except Exception as error:  # noqa: BLE001 - it ends the service, which says so
            hand_over(error)
