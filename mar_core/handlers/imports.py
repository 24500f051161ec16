"""The Python of an archive, imported for its handler as if the handler were part of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mar_core.errors import HandlerError
from mar_core.handlers.code import code_of

if TYPE_CHECKING:
    from types import ModuleType

    from mar_core.ts.context import Context

__all__ = ["import_file"]


def import_file(context: Context, file: str) -> ModuleType:
    """Import a Python file of the archive, with the folder that it lies in before others.

    Call it in ``initialize``. The module has the file's name, and is the archive's own, whatever
    else is called so.

    Args:
        context: The context that the handler was given.
        file: The file's name in the archive, such as ``code/inference.py``.

    Returns:
        The module.

    Raises:
        HandlerError: The archive has no such file; or whatever the file raises.

    Example:
        >>> import_file(context, "code/inference.py").model_fn(model_dir)
    """
    path = PurePosixPath(file)
    model_dir = Path(str(context.system_properties["model_dir"]))
    if not (model_dir / path).is_file():
        raise HandlerError(f"The archive has no file {file!r}.", stage="initialize")
    code = code_of(model_dir)
    code.add_folder(model_dir / path.parent)
    with code.active():
        return code.import_module(path.stem)
