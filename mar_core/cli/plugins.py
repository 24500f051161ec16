"""``mar plugins``: what is installed, and how it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mar_core.cli import options
from mar_core.cli.output import print_columns, print_json

__all__ = ["plugins"]


def plugins(
    as_json: Annotated[bool, options.JSON] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Import them in a process apart; exit with 1 when one is broken."
        ),
    ] = False,
    hook: Annotated[
        str | None,
        typer.Option(help="Show who implements this hook, in the order of the calls."),
    ] = None,
) -> None:
    """List the handlers and plugins that are installed.

    Reads metadata and imports nothing, so that it works however broken a plugin is.

    **States:** *available*; *loaded* (after `--check`); *blocked* by `MAR_DISABLED_PLUGINS` or
    `--no-plugins`; *broken*, with the reason; *clash*: two distributions offer the name.

    **Example:** `mar plugins --check`
    """
    from mar_core.plugins.listing import check_entries, hook_uses, list_entries

    if hook is not None:
        return _show_uses(hook_uses(hook), as_json=as_json)
    statuses = list_entries()
    if check:
        statuses = check_entries(statuses)
    _show_statuses(statuses, as_json=as_json)
    if check and not all(status.is_good for status in statuses):
        raise typer.Exit(1)
    return None


def _show_uses(uses: list[Any], *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        return print_json([asdict(use) for use in uses])
    rows = [(u.plugin, "wraps" if u.wrapper else "answers", u.function) for u in uses]
    return print_columns(("plugin", "how", "function"), rows)


def _show_statuses(statuses: list[Any], *, as_json: bool) -> None:
    if as_json:
        return print_json([status.to_dict() for status in statuses])
    columns = ("name", "kind", "distribution", "version", "state", "target")
    print_columns(columns, [tuple(getattr(s, column) for column in columns) for s in statuses])
    for status in statuses:
        if status.reason:
            typer.echo(f"{status.name}: {status.reason}")
        elif status.provides:
            typer.echo(f"{status.name}: {', '.join(status.provides)} ({status.seconds:.1f} s)")
    return None
