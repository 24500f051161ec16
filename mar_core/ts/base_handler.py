"""``ts.torch_handler.base_handler``: the class, and the flags that stand beside it."""

from __future__ import annotations

from importlib.util import find_spec

from mar_core.ts import BaseHandler

__all__ = [
    "IPEX_AVAILABLE",
    "ONNX_AVAILABLE",
    "PROFILER_AVAILABLE",
    "PT2_AVAILABLE",
    "PT230_AVAILABLE",
    "XLA_AVAILABLE",
    "BaseHandler",
]

PROFILER_AVAILABLE = PT2_AVAILABLE = PT230_AVAILABLE = True  # in every torch that mar runs with
XLA_AVAILABLE = find_spec("torch_xla") is not None
ONNX_AVAILABLE = find_spec("onnxruntime") is not None
IPEX_AVAILABLE = False
