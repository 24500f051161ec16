"""``ts.handler_utils.utils``: answers in parts, and classes by name."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mar_core.ts.context import Context

__all__ = ["import_class", "send_intermediate_predict_response"]


def send_intermediate_predict_response(
    ret: Any,
    req_id_map: Mapping[int, str] | Iterable[int],
    message: str = "",
    code: int = 200,
    context: Context | None = None,
) -> None:
    """Send a part of the answers ahead; what the handler returns is the last part.

    Args:
        ret: For each request of the batch its part.
        req_id_map: The requests: ``context.request_ids``.
        message: What TorchServe's server logs.
        code: What it takes for the batch; an answer's own status is set on the context.
        context: The context of this batch.
    """
    if context is None or os.environ.get("LOCAL_RANK", "0") != "0":
        return
    socket = getattr(context, "cl_socket", None)
    if socket is not None:  # in a worker of TorchServe's own server
        from mar_core.ts.otf_message_handler import create_predict_response

        ids = {index: context.get_request_id(index) or "" for index in req_id_map}
        socket.sendall(create_predict_response(ret, ids, message, code, context, True))  # noqa: FBT003
        return
    for index in req_id_map:
        context.set_response_header(index, "ts_stream_next", "true")
        if context.sink is not None:
            context.sink(index, ret[index])


def import_class(class_name: str, module_prefix: str | None = None) -> Any:
    """A class by its dotted name.

    Args:
        class_name: ``module.Class``, or ``Class`` where the prefix is its module.
        module_prefix: What to put before the module's name.

    Raises:
        ImportError: There is no such module, or no such class in it.
    """
    module_name, _, name = (class_name or "").rpartition(".")
    path = ".".join(part for part in (module_prefix, module_name) if part)
    if not name or not path:
        raise ImportError(f"{class_name!r} must be a module and a class, as in `package.Class`.")
    module = importlib.import_module(path)
    if not hasattr(module, name):
        raise ImportError(f"The module {path} has no class {name!r}.")
    return getattr(module, name)
