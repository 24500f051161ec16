"""What the terminal, or a log collector, is told.

Names of models, paths of requests and lines that handlers print come from elsewhere: whatever a
terminal would obey in them is written as an escape.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["configure", "escaped", "greet"]

NAMES = ("mar_serve", "mar_core", "uvicorn.error", "asyncio")
# Beside control characters: what reorders a line, or hides in it.
UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
RESERVED = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
LEVELS = {
    logging.DEBUG: ("debug  ", "2"),
    logging.INFO: ("", ""),
    logging.WARNING: ("warning  ", "33"),
    logging.ERROR: ("error  ", "31"),
    logging.CRITICAL: ("error  ", "31"),
}


def escaped(text: str) -> str:
    r"""A text with ``\x1b`` and its like written out, so that no terminal obeys it."""
    return UNSAFE.sub(_escape, text)


def configure(
    *, as_json: bool = False, access: bool = False, stream: TextIO | None = None
) -> logging.Handler:
    """Send the log of the server and of its workers to one place.

    Args:
        as_json: One JSON object a line in place of text.
        access: Log each request, too, by the logger ``mar_serve.access``.
        stream: Where to; standard error by default.

    Returns:
        The handler, for who wants to remove it.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if as_json else _Text(colours=_is_terminal(stream)))
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING if name in {"uvicorn.error", "asyncio"} else logging.INFO)
    logging.getLogger("mar_serve.access").setLevel(logging.INFO if access else logging.WARNING)
    return handler


def greet(
    *,
    models: Sequence[Mapping[str, Any]],
    addresses: Mapping[str, str],
    notes: Sequence[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Say what is served where, once everything is ready.

    Args:
        models: ``name``, ``version``, ``ready``, ``workers`` and ``batch_size`` of each.
        addresses: The URL of ``inference``, ``management`` and ``metrics``, as far as they listen.
        notes: What is open to whom, one sentence each.
        stream: Where to; standard error by default. Where ``mar_serve`` logs JSON, it is one line
            of that log.
    """
    stream = stream or sys.stderr
    handlers = logging.getLogger("mar_serve").handlers
    if any(isinstance(handler.formatter, _Json) for handler in handlers):
        extra = {"models": [dict(model) for model in models], "addresses": dict(addresses)}
        logging.getLogger("mar_serve").info("serving", extra={**extra, "notes": list(notes)})
        return
    lines = _lines(models, addresses, notes, _Paint(on=_is_terminal(stream)))
    stream.write("\n".join(lines) + "\n")
    stream.flush()


class _Paint:
    """Colours, where there is a terminal that wants them."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on and code else text


def _lines(
    models: Sequence[Mapping[str, Any]],
    addresses: Mapping[str, str],
    notes: Sequence[str],
    paint: _Paint,
) -> list[str]:
    lines = ["", *_models(models, paint), ""]
    width = max(map(len, addresses), default=0)
    for kind, url in addresses.items():
        what = "  the page, and predictions" if kind == "inference" else ""
        shown = paint(url, "1;36") if kind == "inference" else url
        lines.append(f"  {kind.ljust(width)}  {shown}{paint(what, '2')}")
    lines += [f"  {paint(escaped(note), '2')}" for note in notes]
    base = addresses.get("inference", "")
    if models and base.startswith("http"):
        url = f"{base}/predictions/{escaped(str(models[0]['name']))}"
        lines += ["", f"  {paint('$', '2')} curl {shlex.quote(url)} -T FILE"]
    return [*lines, ""]


def _models(models: Sequence[Mapping[str, Any]], paint: _Paint) -> list[str]:
    if not models:
        return ["  No model yet: register one at the management address."]
    name_width = max(len(escaped(str(model["name"]))) for model in models)
    version_width = max(len(escaped(str(model["version"]))) for model in models)
    lines = []
    for model in models:
        mark = paint("●", "32") if model["ready"] else paint("○", "31")
        name = paint(escaped(str(model["name"])).ljust(name_width), "1")
        version = escaped(str(model["version"])).ljust(version_width)
        lines.append(f"  {mark} {name}  {version}  {paint(_how(model), '2')}")
    return lines


def _how(model: Mapping[str, Any]) -> str:
    workers, size = model["workers"], model.get("batch_size", 1)
    if isinstance(workers, dict):
        workers = workers["live"]
    words = [f"{workers} worker{'' if workers == 1 else 's'}"]
    if size > 1:
        words.append(f"batches of up to {size}")
    if not model["ready"]:
        words.append("not ready")
    return ", ".join(words)


class _Text(logging.Formatter):
    """``14:03:07  a sentence``: the time, a word where it is not only information, the message."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._paint = _Paint(on=colours)

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        word, code = LEVELS.get(record.levelno, ("", ""))
        lines = _message(record).splitlines() or [""]
        shown = [escaped(line) for line in lines]
        return f"{self._paint(clock, '2')}  {self._paint(word, code)}" + "\n          ".join(shown)


class _Json(logging.Formatter):
    """One JSON object: ``time``, ``level``, ``logger``, ``message``, and what the caller added."""

    def format(self, record: logging.LogRecord) -> str:
        added = {name: v for name, v in record.__dict__.items() if name not in RESERVED}
        entry = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **{name: value for name, value in added.items() if not name.startswith("_")},
        }
        # ASCII: every escape sequence and every lone surrogate is written out.
        return json.dumps(entry, default=str)


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.exc_info:
        message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
    return message


def _iso(seconds: float) -> str:
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{clock}.{int(seconds % 1 * 1000):03}Z"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - two digits do


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
