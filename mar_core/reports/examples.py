"""``mar archive --example``: the plugin ``mar-examples``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from mar_core.build.request import ArchiveRequest
    from mar_core.format import ExtraFile

__all__ = ["mar_collect_files"]


@hookimpl
def mar_collect_files(request: ArchiveRequest) -> list[ExtraFile]:
    """Run the model on the examples of a request, as they will be packed.

    Args:
        request: What ``mar archive`` was asked for; ``request.examples`` are the inputs.

    Returns:
        The files to put into the archive.

    Raises:
        UsageError: An example is no file.
        ArchiveError: The model fails on one; such an archive is not written.
    """
    if not request.examples:
        return []
    from mar_core.reports.example_runs import record_examples  # every command loads this plugin

    return record_examples(request)
