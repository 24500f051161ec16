"""``ts.protocol.otf_message_handler``: what handlers import of it, which is one function."""

from __future__ import annotations

from typing import NoReturn

from mar_core.ts.streaming import send_intermediate_predict_response

__all__ = ["send_intermediate_predict_response"]


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(
        f"mar does not have {name} of TorchServe's ts.protocol.otf_message_handler: it speaks the "
        "protocol between TorchServe's server and its workers."
    )
