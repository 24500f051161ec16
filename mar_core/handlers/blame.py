"""Says in a sentence why a handler could not be imported or made, and what to do."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mar_core.errors import HandlerError, MarError
from mar_core.handlers.lookup import is_installed, package_of
from mar_core.plugins.remedies import distribution_of, how_to_install
from mar_core.ts import compat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_core.format.manifest import Manifest
    from mar_core.handlers.code import ArchiveCode
    from mar_core.handlers.own_process import OwnProcess

__all__ = ["Blame", "absent_module", "missing_module"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Turns what an archive's code raises into a ``HandlerError``.

    Attributes:
        name: The handler as the manifest names it.
        code: The archive's code.
        manifest: The archive's manifest.
        distribution: The distribution that ships the handler, or None.
    """

    name: str
    code: ArchiveCode | OwnProcess
    manifest: Manifest
    distribution: str | None

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Explain whatever is raised while the handler is imported and made."""
        try:
            yield
        except MarError:
            raise
        except (Exception, SystemExit) as error:  # a module may call sys.exit() when imported
            raise self._error(error, "load") from error

    @contextmanager
    def initializing(self) -> Iterator[None]:
        """Explain an import that fails while the handler is initialized; the rest is its own."""
        try:
            yield
        except ImportError as error:
            raise self._error(error, "initialize") from error

    def _error(self, error: BaseException, stage: str) -> HandlerError:
        message, hint = _explain(error, self.name, self.code, self.manifest)
        return HandlerError(
            message, stage=stage, handler=self.name, distribution=self.distribution, hint=hint
        )


def _explain(
    error: BaseException, name: str, code: ArchiveCode | OwnProcess, manifest: Manifest
) -> tuple[str, str | None]:
    where = _where(error, code) or f"The handler {name}"
    if isinstance(error, SyntaxError):
        file = code.file_name(error.filename or "") or error.filename
        return f"{file} is not Python at line {error.lineno}: {error.msg}.", None
    if isinstance(error, compat.MissingNameError):
        return f"{where}: {error}", None
    if isinstance(error, ModuleNotFoundError) and error.name:
        own = _own_module(error.name, where, code)
        return own or missing_module(error.name, where, manifest)
    if isinstance(error, ImportError):
        return _missing_name(error, where, code)
    text = " ".join(str(error).split()) or "no message"
    return f"{where} raised {type(error).__name__} while it was loaded: {text}", None


def missing_module(name: str, where: str, manifest: Manifest) -> tuple[str, str]:
    """What to say of a module that is not there, and what to do.

    Args:
        name: The module.
        where: What imports it.
        manifest: The archive's manifest.
    """
    package = package_of(name)
    if package is not None:
        known = distribution_of(package)
        remedy = f"Install another version of it{f': `pip install -U {known}`' if known else ''}."
        message = f"{where} needs the module {name}, which the installed {package} does not have."
        return message, remedy
    top = name.partition(".")[0]
    needed = name if is_installed(top) else top  # a folder that distributions share is not enough
    own = f" If {top} is a file of yours, archive it with --extra-files." if needed == top else ""
    if manifest.requirements_file:
        file = manifest.requirements_file
        install = f"Install it: `pip install -r {file}`, with the {file} of the archive."
    else:
        install = how_to_install(name if distribution_of(name) else needed)
    return f"{where} needs the package {needed}, which is not installed.", f"{install}{own}"


def _own_module(name: str, where: str, code: ArchiveCode | OwnProcess) -> tuple[str, str] | None:
    """What to say of a module that is the archive's own, or would be, and was not found."""
    if code.find_file(name) is not None:
        message = (
            f"{where} needs the archive's own module {name}, which other code than the archive's, "
            "or a thread, has asked for."
        )
        hint = f"Import {name} at the top of the handler, or run the archive with `mar run`."
        return message, hint
    top, dot, _ = name.partition(".")
    folder = (code.model_dir / top).is_dir() and package_of(name) is None
    if dot and (folder or code.find_file(top) is not None):
        return absent_module(name, where)
    return None


def absent_module(name: str, where: str) -> tuple[str, str]:
    """What to say of a module that would be in a package of the archive, and is not.

    Args:
        name: The module.
        where: What imports it.
    """
    message = f"{where} needs the module {name}, which is not in the archive."
    return message, f"Archive the file of {name} with --extra-files."


def _missing_name(
    error: ImportError, where: str, code: ArchiveCode | OwnProcess
) -> tuple[str, str | None]:
    module = error.name or ""
    said = compat.said(module)
    text = " ".join(str(error).replace(f"{code.package}.", "").split())
    if said is not None:
        text = text.replace(repr(module), repr(said)).partition(" (")[0]
        return f"{where}: {text}: mar does not have that name of TorchServe's.", None
    if module in sys.stdlib_module_names and code.find_file(module):
        return (
            f"{where}: {text}.",
            f"{module} is Python's own; rename {module}.py, which cannot stand in for it.",
        )
    return f"{where}: {text}.", None


def _where(error: BaseException, code: ArchiveCode | OwnProcess) -> str | None:
    """The innermost line of the archive's own code, as ``file.py (line 3)``."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = code.file_name(frame.filename)
        if file:
            return f"{file} (line {frame.lineno})"
    return None
