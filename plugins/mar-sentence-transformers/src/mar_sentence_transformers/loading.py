"""Loading a model from the unpacked archive, and from nowhere else."""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mar_core import ModelError, hub_offline
from mar_sentence_transformers.folder import HINT, check, model_folder, own_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mar_core import ModelSource

__all__ = ["load_model"]

# A library names every tensor that does not fit.
SHOWN = 400


def load_model(kind: str, source: ModelSource, options: Mapping[str, Any]) -> Any:
    """Load a model in evaluation mode.

    Args:
        kind: The class of sentence-transformers: ``SentenceTransformer`` or ``CrossEncoder``.
        source: The archive, and where the model goes.
        options: What model-config.yaml says.

    Raises:
        ModelError: A file is missing, the library cannot load it, or it needs code that the user
            has not trusted.
    """
    trusts = options.get("trust_remote_code", False)
    if trusts and not source.trusted:
        raise ModelError(
            "model-config.yaml says trust_remote_code: the model would run code of its own.",
            hint="Pass --trust if you trust whoever made the archive, or trust it once for all "
            "with `mar trust`.",
        )
    _ = source.path  # the library opens the weights by name: asked for, they are unpacked, too
    folder = model_folder(source.model_dir)
    check(folder, kind)
    own = own_code(folder)
    if own is not None and not trusts:
        raise ModelError(
            f"modules.json names {own}: code of the model's own.",
            hint="If you trust it, say `handler: {trust_remote_code: true}` in model-config.yaml.",
        )
    how = {key: options[key] for key in ("dtype", "attn_implementation") if key in options}
    with hub_offline(), _no_bars():
        import sentence_transformers

        try:
            model = getattr(sentence_transformers, kind)(
                str(folder),
                device=str(source.device),
                local_files_only=True,
                trust_remote_code=trusts,
                model_kwargs=how,
            )
        except Exception as error:  # what is wrong with a file surfaces as anything
            reason = textwrap.shorten(str(error), SHOWN, placeholder=" …").rstrip(".")
            raise ModelError(
                f"sentence-transformers {sentence_transformers.__version__} cannot load the model: "
                f"{reason or type(error).__name__}.",
                hint=HINT,
            ) from error
    if "max_length" in options:
        model.max_seq_length = options["max_length"]
    return model.eval()


@contextmanager
def _no_bars() -> Iterator[None]:
    """Progress bars would stand in the log of every worker."""
    from transformers.utils import logging as library

    shown = library.is_progress_bar_enabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            library.enable_progress_bar()
