"""Snapshots: what is served, written down so that the next start takes it up."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
from typing import TYPE_CHECKING, Any, Literal

import javaproperties

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["newest", "write"]

_NAME = re.compile(r"(\d{17})-(startup|snapshot|shutdown)\.cfg")
_FOLDER = "config"

logger = logging.getLogger("mar_torchserve.snapshots")


def newest(log_folder: Path) -> Path | None:
    """The snapshot that a start without a configuration takes up.

    Args:
        log_folder: The folder of the logs; snapshots are in ``config`` below it.
    """
    found = {
        match.group(1): path
        for path in (log_folder / _FOLDER).glob("*.cfg")
        if (match := _NAME.fullmatch(path.name))
    }
    return found[max(found)] if found else None


def write(
    log_folder: Path,
    kind: Literal["startup", "snapshot", "shutdown"],
    properties: Mapping[str, str],
    models: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> None:
    """Write what is served now; that it cannot be written is logged.

    The file is whole or not there: it is written beside its name and renamed.

    Args:
        log_folder: The folder of the logs.
        kind: When it is taken.
        properties: The keys and values that the server runs with.
        models: By name and version: ``defaultVersion``, ``marName``, ``minWorkers``,
            ``maxWorkers``, ``batchSize``, ``maxBatchDelay``, ``responseTimeout``,
            ``startupTimeout``, ``runtimeType``.
    """
    now = dt.datetime.now().astimezone()
    name = f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}-{kind}.cfg"
    snapshot = {
        "name": name,
        "modelCount": sum(map(len, models.values())),
        "created": int(now.timestamp() * 1000),
        "models": models,
    }
    values = {**properties, "model_snapshot": json.dumps(snapshot, indent=2)}
    folder = log_folder / _FOLDER
    target = folder / name
    beside = folder / f".{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as stream:
            javaproperties.dump(values, stream, comments="Saving snapshot", ensure_ascii=False)
        beside.replace(target)
    except OSError as error:
        reason = error.strerror or error
        logger.error("The snapshot %s cannot be written: %s", target, reason)  # noqa: TRY400
