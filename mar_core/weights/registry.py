"""The formats of weights: one row for each, and telling by its bytes which one a file is.

Each module of ``mar_core.weights.formats`` has its row, or those of near twins; plugins add theirs
with ``mar_register_weights_formats``. Those of mar cannot be switched off: what a file may do when
it is loaded is decided with them.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

from mar_core.errors import ModelError, PluginError
from mar_core.format.limits import TooCostly
from mar_core.weights.streams import TooCostlyError
from mar_core.weights.weights_format import (
    PICKLE_RANK,
    WeightsFile,
    WeightsFormat,
    WeightsReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mar_core.plugins import Plugins
    from mar_core.weights.streams import Allowance

__all__ = [
    "examine", "examine_file", "format_of", "identify", "look_inside", "unexamined",
    "weights_formats",
]  # fmt: skip

_MAX_DEPTH = 3
_TOO_MUCH = "There is too much in it to be checked."
_TARS = {"tar", "torch-tar"}
# Where an unpickler ends at once: at a persistent reference, which zips begin as, and at the
# registry of extensions, which is empty.
_ENDS = (b"P", b"\x82", b"\x83", b"\x84")
# What loading the inner file could do, or whether that could be told.
_TOLD = {"MAR-W003", "MAR-W004", "MAR-W005", "MAR-W008", "MAR-W011", "MAR-W013", "MAR-W016"}


def identify(stream: BinaryIO) -> WeightsFormat:
    """Say what a weights file is.

    Reads a few kilobytes, and the directory of a zip. Never loads, imports or unpickles.

    Args:
        stream: The file, seekable; read from its beginning, left anywhere.

    Returns:
        Its format; there is one for what is unknown, too, so that nothing raises here.
    """
    try:
        return format_of(WeightsFile(stream))
    except TooCostlyError:
        return weights_formats()[-1]


def format_of(file: WeightsFile) -> WeightsFormat:
    """The format of a file."""
    rows = weights_formats() if file.formats is None else file.formats
    return next(row for row in rows if _knows(row, file))


def examine(
    stream: BinaryIO,
    *,
    budget: Allowance | None = None,
    formats: tuple[WeightsFormat, ...] | None = None,
) -> WeightsReport:
    """Look at a weights file without loading, importing or unpickling anything of it.

    Args:
        stream: The file, seekable; left anywhere.
        budget: What it may cost; by default as much as is good for one archive.
        formats: The formats that it may be of; by default those that are known here.

    Returns:
        Its format, what is wrong with it, and its tensors where the format lists them.
    """
    try:
        return examine_file(WeightsFile(stream, budget=budget, formats=formats))
    except TooCostlyError:
        return unexamined()


def unexamined() -> WeightsReport:
    """What is told of a file when looking at it takes more than there is to spend."""
    report = WeightsReport(format=weights_formats()[-1])
    report.fault("MAR-W005", _TOO_MUCH)
    return report


def examine_file(file: WeightsFile) -> WeightsReport:
    """Look at a file, as ``examine`` does.

    Raises:
        TooCostlyError: The budget is used up before it is known what the file is.
    """
    row = format_of(file)
    report = WeightsReport(format=row)
    try:
        if file.depth > _MAX_DEPTH:
            report.fault("MAR-W005", f"It lies in more than {_MAX_DEPTH} other files.")
        else:
            if row.examine is not None:
                row.examine(file, report)
            _look_for_another(file, report)
    except TooCostlyError:
        report.listed = False
        report.fault("MAR-W005", _TOO_MUCH)
    except ModelError as error:
        report.fault("MAR-W008", f"The file cannot be read: {error.message}.")
    return report


def _look_for_another(file: WeightsFile, report: WeightsReport) -> None:
    """A file may be of two formats at once, and a handler reads it as the other."""
    row, hidden = report.format, file.hidden_zip
    rows = {other.name: other for other in file.formats or weights_formats()}
    # Whatever a file begins with may be the name of the first file in a tar.
    if row.name not in _TARS:
        _examine_as(rows["tar"], file, report)
    elif hidden is None:
        _examine_as(rows["zip"], file, report)
    if row.rank >= PICKLE_RANK:
        if hidden is not None and row.name != "zip":  # such as the last file of a tar
            look_inside(file, hidden, "the zip that it ends as", report)
        return
    if not file.head.startswith(_ENDS):
        found = file.first_pickle
        if found.acts:
            names = ", ".join(found.forbidden)
            said = f"Read as a pickle, which it is too, it imports or calls {names}."
            report.fault("MAR-W003", said)
        elif found.unchecked:
            report.fault("MAR-W005", _TOO_MUCH)
    if hidden is not None:
        report.fault("MAR-W005", "The file ends as a zip, which cannot be checked.")


def _examine_as(row: WeightsFormat, file: WeightsFile, report: WeightsReport) -> None:
    if row.examine is not None and row.identify(file):
        row.examine(file, report)


def weights_formats(plugins: Plugins | None = None) -> tuple[WeightsFormat, ...]:
    """Every format, in the order in which they are asked; the last one knows every file.

    Args:
        plugins: The plugins that may add some; by default those that are installed.

    Raises:
        PluginError: Two formats share a name.
    """
    if plugins is None:
        from mar_core.plugins import get_plugins, needs_loading

        if not needs_loading():  # our own plugins take long to import and add no formats
            return _built_in()
        plugins = get_plugins()
    return _with_plugins(plugins, frozenset(plugins.manager.get_plugins()))


@functools.lru_cache(maxsize=8)
def _with_plugins(plugins: Plugins, registered: frozenset[Any]) -> tuple[WeightsFormat, ...]:  # noqa: ARG001 - another plugin, another look
    owners = {row.name: "mar-core" for row in _built_in()}
    added = []
    for plugin, row in plugins.weights_formats(_row_fault):
        if row.name in owners:
            both = f"{owners[row.name]} and {plugin}"
            raise PluginError(f"The weights format {row.name!r} is registered by {both}.")
        owners[row.name] = plugin
        added.append(row)
    return _by_rank([*_built_in(), *added])


def _row_fault(row: Any) -> str | None:
    return None if isinstance(row, WeightsFormat) else f"{type(row).__name__}, no WeightsFormat"


@functools.cache
def _built_in() -> tuple[WeightsFormat, ...]:
    from mar_core.weights import formats

    names = sorted(module.name for module in pkgutil.iter_modules(formats.__path__))
    modules = [importlib.import_module(f"{formats.__name__}.{name}") for name in names]
    return _by_rank(
        row for module in modules for row in vars(module).values() if isinstance(row, WeightsFormat)
    )


def _by_rank(rows: Iterable[WeightsFormat]) -> tuple[WeightsFormat, ...]:
    return tuple(sorted(rows, key=lambda row: row.rank))


def _knows(row: WeightsFormat, file: WeightsFile) -> bool:
    try:
        return bool(row.identify(file))
    except (TooCostlyError, TooCostly):
        raise
    except MemoryError as error:
        raise TooCostlyError from error
    except Exception as error:  # noqa: BLE001 - a plugin's may raise anything
        from mar_core.plugins import PluginWarning

        text = f"The weights format {row.name} failed: {type(error).__name__}: {error}."
        warnings.warn(text, PluginWarning, stacklevel=2)
        return False


def look_inside(outer: WeightsFile, stream: BinaryIO, name: str, report: WeightsReport) -> None:
    """Look at a file inside another, and tell of the whole what loading the part could do.

    Args:
        outer: The file that holds it.
        stream: The part, seekable.
        name: What to call it.
        report: What is told of the whole.

    Raises:
        TooCostlyError: The budget is used up.
    """
    found = examine_file(outer.inner(stream))
    report.pickled_code.extend(found.pickled_code)
    for fault in found.faults:
        if fault.code in _TOLD:
            code = "MAR-W005" if fault.code == "MAR-W008" else fault.code
            report.fault(code, f"In {name}: {fault.message}")
