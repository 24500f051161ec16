"""What an archive would find on this machine: Python, PyTorch and its devices, the cache."""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from mar_core.checks.requirements import version_of
from mar_core.errors import MarError
from mar_core.plugins import HOST, host_version, unreadable_distributions
from mar_core.plugins.listing import last_words, python
from mar_core.reports.doctor.packages import check_needed
from mar_core.reports.doctor.report import Check, State, from_error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_cache", "check_machine", "torch_answer"]

_TORCH = ("torch", "torchvision")
_SECONDS = 180


def check_machine() -> Iterator[Check]:
    """Python, mar, what mar needs, and PyTorch with its devices."""
    system = f"{platform.system()} {platform.machine()}"
    yield Check(name="Python", message=f"{platform.python_version()}, {system}, {sys.executable}")
    yield Check(name=HOST, message=host_version())
    for package in (HOST, *_TORCH):
        yield from check_needed(package, state=State.ERROR)
    answer = torch_answer()
    for package in _TORCH:
        yield from _package(package, answer)
    for name, what in answer["devices"]:
        yield Check(name=name, message=what)
    for said in answer["warnings"]:
        yield Check(name="torch", state=State.WARNING, message=f"It warns: {said}")


@functools.cache
def torch_answer() -> dict[str, Any]:
    """What ``mar_core.reports.doctor.devices`` says, from a process of its own."""
    command = python("mar_core.reports.doctor.devices")
    failed: dict[str, Any] = {"build": "", "devices": [], "accelerators": 0, "warnings": []}
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {**failed, "errors": {"torch": f"It takes over {_SECONDS} s to import."}}
    if child.returncode != 0:
        return {**failed, "errors": {"torch": last_words(child)}}
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def _package(package: str, answer: dict[str, Any]) -> Iterator[Check]:
    version, fault = version_of(package), answer["errors"].get(package)
    if fault is None and version is not None:
        build = f", built for {answer['build']}" if package == "torch" and answer["build"] else ""
        yield Check(name=package, message=f"{version}{build}")
    elif version is not None:
        yield Check(
            name=package,
            state=State.ERROR,
            message=f"{version} is installed and cannot be imported: {fault.rstrip('.')}.",
            hint=_import_hint(package),
        )


def _import_hint(package: str) -> str:
    """PyTorch reads the entry points of all that is installed, and fails with any of them."""
    for name, reason in unreadable_distributions():
        return f"{reason} Remove it: `pip uninstall {name.partition(' ')[0]}`."
    return f"Install it again: `pip install --force-reinstall {package}`."


def check_cache() -> Iterator[Check]:
    """Where archives are unpacked, how full it is, and whether it can be used.

    The folder is made where it is missing, as the first run would.
    """
    from mar_core.cache.entries import entries
    from mar_core.cache.location import bound, prepared_place

    try:
        place, limit = prepared_place(), bound()
    except MarError as error:
        yield from_error("cache", error)
        return
    if not os.access(place, os.W_OK | os.X_OK):
        yield Check(
            name="cache",
            state=State.ERROR,
            message=f"Nothing can be written to {place}.",
            hint="Name another folder with MAR_CACHE_DIR.",
        )
        return
    found = entries()
    used = sum(entry.size for entry in found)
    free = shutil.disk_usage(place).free
    words = f"{place}: {len(found)} kept, {_size(used)} of {_size(limit)}; {_size(free)} free"
    yield Check(name="cache", message=words)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
