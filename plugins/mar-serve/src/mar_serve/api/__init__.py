"""Every path that the server answers, as OpenAPI describes it; `mar_serve.routes` answers them."""

from __future__ import annotations

from mar_serve.api.inference import OPERATIONS as _INFERENCE_OPERATIONS
from mar_serve.api.management import OPERATIONS as _MANAGEMENT_OPERATIONS
from mar_serve.api.table import INFERENCE, MANAGEMENT, METRICS, Operation, Parameter

__all__ = ["INFERENCE", "MANAGEMENT", "METRICS", "OPERATIONS", "Operation", "Parameter"]

OPERATIONS: tuple[Operation, ...] = (*_INFERENCE_OPERATIONS, *_MANAGEMENT_OPERATIONS)
