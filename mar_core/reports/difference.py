"""``mar diff`` as a function: what is in one archive and not in another, down to the tensors."""

from __future__ import annotations

import functools
import math
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mar_core.checks.subject import Subject
from mar_core.format.manifest import MANIFEST_NAME
from mar_core.reports.inspection import summary_of_lock
from mar_core.weights import examine, seekable
from mar_core.weights.allowed import ELEMENT_BYTES
from mar_core.weights.compare import is_readable, largest_difference

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from mar_core.format import Archive
    from mar_core.weights import TensorInfo, WeightsReport

__all__ = ["ArchiveDifference", "Change", "TensorChange", "compare_archives"]

_CHUNK = 1 << 20
_MOST_VIEWS = 4  # how many times the bytes of a file its tensors may show, each view counted once


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that both archives have, or one of them.

    Attributes:
        name: The member, or the manifest's key.
        before: What the first archive has: a member's size in bytes, or a key's value.
        after: What the second has.
    """

    name: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorChange:
    """One tensor that differs.

    Attributes:
        name: The tensor.
        before: ``float32[10, 4]``, or None where the first archive has none of the name.
        after: The same of the second.
        largest: The largest difference of two numbers at one place; NaN where only one of them is
            NaN; None where the shapes differ or the numbers cannot be read.
    """

    name: str
    before: str | None = None
    after: str | None = None
    largest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDifference:
    """What differs between two archives.

    Attributes:
        first: The first archive, as it was named.
        second: The second.
        manifest: Keys of the manifest with other values; the list of members is left out.
        added: Members that only the second has.
        removed: Members that only the first has.
        changed: Members with another content.
        unchanged: How many members are the same.
        packages: Packages of the two locks whose versions differ.
        tensors: Tensors that differ.
        same_tensors: How many tensors are the same, or None where they were not compared.
        note: Why tensors were not compared, or None.
    """

    first: str
    second: str
    manifest: list[Change] = field(default_factory=list)
    added: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    unchanged: int = 0
    packages: list[Change] = field(default_factory=list)
    tensors: list[TensorChange] = field(default_factory=list)
    same_tensors: int | None = None
    note: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.manifest or self.added or self.removed or self.changed or self.tensors)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values; a NaN is the text ``nan``."""
        values = asdict(self)
        for tensor in values["tensors"]:
            largest = tensor["largest"]
            if largest is not None and not math.isfinite(largest):
                tensor["largest"] = str(largest)
        return values


def compare_archives(
    first: str | os.PathLike[str], second: str | os.PathLike[str]
) -> ArchiveDifference:
    """Compare two archives without importing, unpickling or running anything of them.

    Args:
        first: A ``.mar``, a ``.tar.gz`` or a folder.
        second: Another.

    Raises:
        ArchiveError: One of them is not there, is not sound, or has no manifest.
        TooCostly: They cost more to examine than is allowed.
    """
    from mar_core.format.limits import budget
    from mar_core.format.reader import open_archive

    with (
        open_archive(first) as one,
        open_archive(second) as other,
        budget(one.stored_size + other.stored_size),
    ):
        return _compare(one, other)


def _compare(one: Archive, other: Archive) -> ArchiveDifference:
    names, others = one.members.keys() - {MANIFEST_NAME}, other.members.keys() - {MANIFEST_NAME}
    both = sorted(names & others)
    changed = [name for name in both if not _same_content(one, other, name, name)]
    tensors, same, note = _compare_weights(one, other)
    return ArchiveDifference(
        first=str(one),
        second=str(other),
        manifest=_compare_manifests(one, other),
        added=[Change(name=n, after=other.members[n].size) for n in sorted(others - names)],
        removed=[Change(name=n, before=one.members[n].size) for n in sorted(names - others)],
        changed=[
            Change(name=n, before=one.members[n].size, after=other.members[n].size) for n in changed
        ],
        unchanged=len(both) - len(changed),
        packages=_compare_locks(one, other),
        tensors=tensors,
        same_tensors=same,
        note=note,
    )


def _compare_locks(one: Archive, other: Archive) -> list[Change]:
    """The packages that only one lock has, or both in other versions."""
    locks = (summary_of_lock(Subject(archive)) for archive in (one, other))
    before, after = ({} if lock is None else lock.packages for lock in locks)
    return [
        Change(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _compare_manifests(one: Archive, other: Archive) -> list[Change]:
    before, after = dict(_flat(one.manifest.data)), dict(_flat(other.manifest.data))
    return [
        Change(name=key, before=before.get(key), after=after.get(key))
        for key in [*before, *(key for key in after if key not in before)]
        if before.get(key) != after.get(key)
    ]


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name != "mar.members":
            yield from _flat(value, f"{name}.")
        elif name != "mar.members":
            yield name, value


def _same_content(one: Archive, other: Archive, name: str, other_name: str) -> bool:
    if one.members[name].size != other.members[other_name].size:
        return False
    with one.open(name) as before, other.open(other_name) as after:
        while chunk := before.read(_CHUNK):
            if chunk != after.read(len(chunk)):
                return False
    return True


def _compare_weights(
    one: Archive, other: Archive
) -> tuple[list[TensorChange], int | None, str | None]:
    name, other_name = one.manifest.serialized_file, other.manifest.serialized_file
    if name not in one.members or other_name not in other.members or not (name and other_name):
        return [], None, None
    if _same_content(one, other, name, other_name):
        return [], None, None
    with ExitStack() as stack:
        before = stack.enter_context(seekable(stack.enter_context(one.open(name))))
        after = stack.enter_context(seekable(stack.enter_context(other.open(other_name))))
        reports = examine(before), examine(after)
        sizes = one.members[name].size, other.members[other_name].size
        note = _why_not(reports, sizes)
        if note:
            return [], None, note
        pairs = _pairs(*reports)
        largest = functools.cache(
            lambda left, right: largest_difference(before, left, after, right)
        )
        found = [_compare_tensors(left, right, largest) for left, right in pairs]
        changes = [change for change in found if change is not None]
        return changes, len(pairs) - len(changes), None


def _why_not(reports: tuple[WeightsReport, WeightsReport], sizes: tuple[int, int]) -> str | None:
    for report, size in zip(reports, sizes, strict=True):
        if not report.listed:
            return f"Tensors are not compared: {report.format.name} files do not list them."
        # Views of one storage may have any number of times the bytes that it has.
        views = {_nameless(tensor) for tensor in report.tensors if is_readable(tensor)}
        if sum(tensor.numel * ELEMENT_BYTES[tensor.dtype] for tensor in views) > _MOST_VIEWS * size:
            return "Tensors are not compared: they share their numbers, many times over."
    return None


def _nameless(tensor: TensorInfo) -> TensorInfo:
    """What two names of one tensor have in common."""
    return replace(tensor, name="")


def _pairs(
    one: WeightsReport, other: WeightsReport
) -> list[tuple[TensorInfo | None, TensorInfo | None]]:
    before = {tensor.name: tensor for tensor in one.tensors}
    after = {tensor.name: tensor for tensor in other.tensors}
    names = [*before, *(name for name in after if name not in before)]
    return [(before.get(name), after.get(name)) for name in names]


def _compare_tensors(
    left: TensorInfo | None,
    right: TensorInfo | None,
    largest_of: Callable[[TensorInfo, TensorInfo], float | None],
) -> TensorChange | None:
    """What differs, or None where nothing does."""
    largest = None
    if left is not None and right is not None and left.shape == right.shape:
        largest = largest_of(_nameless(left), _nameless(right))
        if largest == 0 and left.dtype == right.dtype:
            return None
    named = left or right
    return TensorChange(
        name=named.name if named else "",
        before=_summary(left),
        after=_summary(right),
        largest=largest,
    )


def _summary(tensor: TensorInfo | None) -> str | None:
    return None if tensor is None else f"{tensor.dtype}{list(tensor.shape)}"
