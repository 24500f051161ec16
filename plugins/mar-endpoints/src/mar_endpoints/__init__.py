"""Knows folders and model.tar.gz made for SageMaker and Hugging Face's Inference Endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import MarError, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from mar_core import ArchiveRequest, Imported

__all__ = ["mar_import", "mar_register_importers"]


@hookimpl
def mar_register_importers(register: Callable[[str], None]) -> None:
    """Say what is looked for."""
    register("a SageMaker model: code/inference.py")
    register("a Hugging Face Inference Endpoint: handler.py with an EndpointHandler")


# What its authors wrote a handler for is theirs to run, whoever else knows its config.json, and
# even where somebody else finds that broken: so this surrounds the others.
@hookimpl(wrapper=True)
def mar_import(
    source: Path, request: ArchiveRequest, folder: Path
) -> Generator[None, Imported | None, Imported | None]:
    """Take either, unless the user wants another handler."""
    from mar_endpoints import importing

    found, error = None, None
    try:
        found = yield
    except MarError as raised:
        error = raised
    own = importing.sagemaker(source, request, folder) or importing.huggingface(source, request)
    if own is None and error is not None:
        raise error
    return own or found
