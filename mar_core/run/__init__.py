"""Running an archive over inputs: reading, batching, engines, writing."""

from __future__ import annotations

from mar_core.records import (
    Engine,
    EngineFactory,
    EngineOption,
    Failure,
    Input,
    Outcome,
    Reader,
    ReadOptions,
    Response,
    RunOptions,
    RunSummary,
    WriteOptions,
    Writer,
)

__all__ = [
    "Engine",
    "EngineFactory",
    "EngineOption",
    "Failure",
    "Input",
    "Outcome",
    "ReadOptions",
    "Reader",
    "Response",
    "RunOptions",
    "RunSummary",
    "WriteOptions",
    "Writer",
]
