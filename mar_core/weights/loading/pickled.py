"""Whole pickled objects: loaded on the user's word alone, ``--allow-pickle``."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mar_core.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from mar_core.weights.loading.source import ModelSource

__all__ = ["load_pickled"]


def load_pickled(path: Path, source: ModelSource) -> Any:
    """Unpickle a file that the user trusts; this can run any code.

    What a script pickled as its own, under ``__main__``, is looked for in the model file.

    Args:
        path: The file.
        source: What is being loaded.

    Raises:
        ModelError: It cannot be unpickled, as a rule because a class is not there.
    """
    import torch

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            if module == "__main__" and source.model_file:
                return _from_model_file(source, name)
            return super().find_class(module, name)

    pickles = SimpleNamespace(Unpickler=Unpickler, load=pickle.load, __name__="pickle")
    try:
        return torch.load(
            str(path), map_location=source.device, weights_only=False, pickle_module=pickles
        )
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path.name} was pickled with a class that is not here: {error}.",
            hint="Add the file that defines it, under the name that it had, with --extra-files; or "
            "with --model-file, if a script pickled a class of its own.",
        ) from error


def _from_model_file(source: ModelSource, name: str) -> Any:
    from mar_core.handlers.code import code_of

    return getattr(code_of(source.model_dir).import_file(str(source.model_file)), name)
