"""Unpacked archives made of text, for the tests of handlers."""

from __future__ import annotations

import json
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mar_core.format.manifest import Manifest
from mar_core.handlers.load import load_handler
from mar_core.ts.context import begin_batch, make_context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mar_core.handlers.load import LoadedHandler
    from mar_core.ts.context import Context


def lay_out(folder: Path, files: Mapping[str, str], **model: Any) -> tuple[Manifest, Path]:
    """Write files and a manifest into a folder.

    Args:
        folder: The folder, made where it is missing.
        files: Text by name; it may be indented.
        **model: Keys of the manifest's ``model``.
    """
    told = {"modelName": folder.name, "handler": "handler.py", **model}
    manifest = Manifest({"runtime": "python", "model": told})
    for name, text in {**files, "MAR-INF/MANIFEST.json": json.dumps(manifest.data)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return manifest, folder


@contextmanager
def loaded(
    folder: Path, files: Mapping[str, str], *, envelope: str | None = None, **model: Any
) -> Iterator[LoadedHandler]:
    """A handler loaded out of files, and closed at the end."""
    manifest, folder = lay_out(folder, files, **model)
    handler = load_handler(manifest, folder, envelope=envelope)
    try:
        yield handler
    finally:
        handler.close()


def context_of(manifest: Manifest, folder: Path, **options: Any) -> Context:
    """The context that a handler of this folder is given."""
    return make_context(manifest, folder, **options)


def ask(
    handler: LoadedHandler,
    rows: Sequence[Any],
    *,
    context: Context | None = None,
    headers: Sequence[Mapping[str, Any]] = (),
) -> Any:
    """Answer one batch; without a context the handler is initialized with a fresh one."""
    if context is None:
        context = make_context(
            Manifest({"model": {"modelName": "m"}}), handler.code.model_dir, batch_size=len(rows)
        )
        if handler.initialize is not None:
            handler.initialize(context)
    told = [*headers, *({} for _ in rows)][: len(rows)]
    begin_batch(context, [f"r{index}" for index in range(len(rows))], told)
    with handler.code.active():
        return handler.entry(list(rows), context)
