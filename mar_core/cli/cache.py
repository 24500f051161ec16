"""``mar cache``: what is unpacked, which environments were made, and clearing both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mar_core.cli import options
from mar_core.cli.output import print_columns, print_json
from mar_core.text import plural, size_in_words

if TYPE_CHECKING:
    from mar_core.cache.entry import CacheEntry

__all__ = ["cache"]

SECONDS_A_DAY = 86_400


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove what no running process uses.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="DAYS", help="With --clear: keep what was used in the last DAYS days."
        ),
    ] = None,
    as_json: Annotated[bool, options.JSON] = False,
) -> None:
    """Show the cache of unpacked archives, environments and compiled models, or clear it.

    `mar run` unpacks an archive once, checks it while copying, and finds it here the next time.
    The environments of `--env auto` are kept here, and what `pt2` in model-config.yaml compiles.
    The longest unused entries go when it grows over `MAR_CACHE_SIZE` (20G); `MAR_CACHE_DIR` says
    where it lies.

    **Example:** `mar cache --clear --older-than 30`
    """
    from mar_core.cache import entries as store
    from mar_core.errors import UsageError

    if older_than is not None and not clear:
        raise UsageError("--older-than needs --clear.", hint="Try `mar cache --clear --help`.")
    seconds = (older_than or 0) * SECONDS_A_DAY
    found = store.clear(older_than=seconds) if clear else store.entries()
    if as_json:
        return _print_json(found, cleared=clear)
    if clear:
        return _print_cleared(found, left=store.entries())
    return _print_entries(found)


def _print_json(found: list[CacheEntry], *, cleared: bool) -> None:
    from mar_core.cache.location import bound, cache_folder

    summary: dict[str, Any] = {
        "path": str(cache_folder()),
        "limit": bound(),
        "size": sum(entry.size for entry in found),
        "cleared" if cleared else "entries": [entry.to_dict() for entry in found],
    }
    print_json(summary)


def _print_cleared(found: list[CacheEntry], *, left: list[CacheEntry]) -> None:
    total = sum(entry.size for entry in found)
    busy = [entry for entry in left if entry.in_use]
    kept = f" Kept {_counted(busy)} in use." if busy else ""
    typer.echo(f"Removed {_counted(found)}, {size_in_words(total)}.{kept}")


def _print_entries(found: list[CacheEntry]) -> None:
    from mar_core.cache.location import bound, cache_folder

    total = sum(entry.size for entry in found)
    typer.echo(
        f"{cache_folder()}: {_counted(found)}, {size_in_words(total)} of {size_in_words(bound())}"
    )
    heading = ("model", "what", "digest", "files", "size", "last used")
    if found:
        print_columns(heading, map(_row, reversed(found)))


def _row(entry: CacheEntry) -> tuple[str, ...]:
    from datetime import datetime

    used = datetime.fromtimestamp(entry.last_used).astimezone().strftime("%Y-%m-%d %H:%M")
    when = "in use" if entry.in_use else used
    return (
        entry.name,
        entry.kind,
        entry.digest[:12],
        str(entry.members),
        size_in_words(entry.size),
        when,
    )


def _counted(found: list[CacheEntry]) -> str:
    """How many of each kind; archives are said also where there are none."""
    counts = {"archive": 0, **Counter(entry.kind for entry in found)}
    return " and ".join(f"{count} {plural(count, kind)}" for kind, count in counts.items())
