"""docs/reference/hooks.md, made from the docstrings of the hook specification.

``python tests/support/hooks_page.py`` writes it again.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

from mar_core import hookspecs
from mar_core.plugins import hook_names

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "hooks.md"
HEAD = """\
# The hooks

A hook is a place where a plugin can take part. This is all of them, in the order in which they are
called:

```text
mar archive                              mar run
  │  mar_import         (with --from)      │  mar_register_engines · mar_register_readers
  │  mar_collect_files                     │
  │  mar_validate_archive                  │  mar_validate_archive
  ▼                                        │  mar_run_started
model.mar                                  ▼
  │  mar_archive_written                 mar_initialize ──▶ mar_load_model
  ▼                                        │
done                                       │   for each batch
                                           ├──▶ mar_preprocess ─┬▶ mar_inference ─▶ mar_postprocess
                                           │                    └▶ mar_explain      (with --explain)
                                           │       after each stage: mar_stage_finished
                                           │       for each value:   mar_metric_recorded
                                           ▼
mar SOME-COMMAND                         mar_teardown
  │  mar_register_commands                 │  mar_run_finished
  ▼                                        ▼
the command                              done
```

`load()` in Python goes through the same stages as `mar run`, without `mar_run_started`,
`mar_run_finished`, engines and readers. So do the workers of `mar serve`, which calls
`mar_extend_server` once, before it listens.

A plugin is a module, or an object, whose functions carry `@hookimpl`. An entry point in the group
`mar.plugins` names it; [how to write one](../how-to/write-a-plugin.md) shows the whole way.

## Rules

- A function takes the arguments that it needs, by their names, and no others; none has a default.
- *First result*: implementations are asked, the last registered first, until one returns something
  other than None. In the life cycle, the handler of the archive is the last one. One marked
  `@hookimpl(wrapper=True)` surrounds the others: it yields once, gets the result, and returns one.
  What it raises stops the batch, or the archive.
- *Each on its own*: every implementation runs. One that raises is reported with its name and harms
  no other. Wrappers are refused.
- *Observing*: like each on its own, and what is returned is ignored. A plugin that raises is warned
  of once; how often it has raised since is said at the end.
- `@hookimpl(tryfirst=True)` and `trylast=True` change the order. What comes with mar is registered
  first, so that it is asked last.
- `@hookimpl(optionalhook=True)` lets a plugin name a hook that an older mar does not have.

The examples on this page use these names:

```python
import dataclasses
import json
import time
from pathlib import Path

from mar_core import ExtraFile, Finding, Imported, hookimpl
```
"""
FAMILIES = {
    "mar_import": "Archive",
    "mar_load_model": "Life cycle",
    "mar_run_started": "Observing",
    "mar_extend_server": "Serving",
    "mar_register_importers": "Registering",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for hook in hook_names():
        if hook in FAMILIES:
            parts.append(f"## {FAMILIES[hook]}\n")
        parts.append(section(hook))
    return "\n".join(parts)


def signature(hook: str) -> str:
    """A hook's exact signature, as the specification writes it."""
    function = hookspecs.HOOKS[hook]
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{hook}({ast.unparse(node.args)}){returns}"


def section(hook: str) -> str:
    """The part of the page about one hook."""
    lines = inspect.getdoc(hookspecs.HOOKS[hook]).splitlines()
    text = [f"### {hook}", "", "```text", signature(hook), "```", ""]
    return "\n".join([*text, *_body(lines), ""])


def _body(lines: list[str]) -> list[str]:
    """The docstring as Markdown: its sections as lists, its example as code."""
    out: list[str] = []
    example: list[str] = []
    part = ""
    for line in lines:
        if line in {"Args:", "Returns:", "Example:"}:
            part = line[:-1]
            out += [] if part == "Example" else [f"**{part}**", ""]
        elif part == "Example":
            example.append(line.strip()[4:])
        elif part and line.strip():
            out.append(_item(line) if part == "Args" else line.strip())
        else:
            out.append(line)
    return [_plain(line) for line in out] + ["```python", *example, "```"]


def _item(line: str) -> str:
    """One line of the arguments: a new bullet, or the rest of one."""
    name, colon, rest = line.strip().partition(":")
    begins = len(line) - len(line.lstrip()) == 4
    return f"- `{name}`{colon}{rest}" if begins else f"  {line.strip()}"


def _plain(line: str) -> str:
    return line.replace("``", "`").rstrip()


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
