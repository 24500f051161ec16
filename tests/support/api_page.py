"""docs/reference/public-api.md: every public name with a line, made from the docstrings.

``python tests/support/api_page.py`` writes it again.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import mar_core
import mar_core.testing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "public-api.md"
HEAD = """\
# The public names

What handlers, plugins and programs may import: the names of `mar_core` and of `mar_core.testing`
on this page. The hooks have [a page of their own](hooks.md). `help(mar_core.load)` says more about
each name.

Everything else may change at any time. That includes the modules in which these names are defined:
import `mar_core.Context`, not `mar_core.ts.context.Context`. It includes the package
`builtin_handlers`, too, whose handlers are used by their registered names.
[Versions](versioning.md) says what is promised.
"""
GROUPS = {
    "Make archives": (
        "archive", "update", "create", "write_archive", "ArchiveRequest", "ArchiveFormat",
        "Runtime", "ExtraFile", "Imported", "Written",
    ),
    "Look at archives": (
        "open_archive", "Archive", "Member", "Manifest", "validate", "Finding", "Severity",
        "identify", "read_model_config", "SavedFiles",
    ),
    "Run archives": (
        "load", "Predictor", "Recipe", "Failure", "LocalWorkers", "count_gpus", "gpus_for",
    ),
    "Write handlers": (
        "VisionHandler",
        "BaseHandler", "Context", "PredictionException", "bad_item", "each_item",
        "reject_item", "payload", "fields_of", "as_text", "from_base64", "decode_image", "to_rgb",
        "class_map", "HandlerOption", "handler_options", "MODEL_OPTIONS", "did_you_mean",
        "stacked", "to_device",
        "handler_device", "compile_options",
        "import_file", "hub_offline", "keep_hub_offline", "timed", "Metric",
        "MetricTypes", "MetricsConfig", "MetricDefinition", "Dimension",
    ),
    "Write plugins": (
        "hookimpl", "NO_RESULT", "WeightsFormat", "Trust", "WeightsFile", "WeightsReport",
        "TensorInfo", "ModelSource", "Reader", "ReadOptions",
        "Input", "Outcome", "Response", "Engine", "server_extensions",
        "RunOptions", "RunSummary", "to_json",
    ),
    "Errors and warnings": (
        "MarError", "UsageError", "ArchiveError", "ManifestError", "ValidationError", "ModelError",
        "HandlerError", "InputError", "OutputError", "PluginError", "MarWarning", "PluginWarning",
        "MarDeprecationWarning",
    ),
    "About mar": ("__version__",),
}  # fmt: skip
# What has no docstring of its own.
LINES = {
    "__version__": "The version of mar.",
    "NO_RESULT": "What a hook returns for a stage whose result is None.",
    "hookimpl": "Marks a function of a plugin as the implementation of a hook.",
}


def page() -> str:
    """The whole page."""
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "More": sorted(set(mar_core.__all__) - grouped)}
    parts = [HEAD]
    for title, names in groups.items():
        if names:
            parts += [f"## {title}", "", *_table(mar_core, names)]
    parts += ["## mar_core.testing", "", "Needs `mar-core[testing]`.", ""]
    parts += _table(mar_core.testing, mar_core.testing.__all__)
    parts += ["The pytest fixtures `mar_archive` and `mar_plugin` are there without an import.", ""]
    return "\n".join(parts)


def _table(module: Any, names: Any) -> list[str]:
    rows = [f"| `{name}{_arguments(getattr(module, name), name)}` | {_line(module, name)} |"
            for name in names]  # fmt: skip
    return ["| name | what it is |", "| --- | --- |", *rows, ""]


def _arguments(value: Any, name: str) -> str:
    """The names of a function's arguments; a class has its docstring for that."""
    if not inspect.isfunction(value) or name in LINES:
        return ""
    given = inspect.signature(value).parameters.values()
    required = [p.name for p in given if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return f"({', '.join([*required, *(['…'] if len(required) < len(given) else [])])})"


def _line(module: Any, name: str) -> str:
    if name in LINES:
        return LINES[name]
    text = inspect.getdoc(getattr(module, name)) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
