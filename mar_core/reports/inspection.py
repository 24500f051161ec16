"""``mar inspect`` as a function: what an archive holds, and what a run would execute."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mar_core.checks.subject import LOCK, Subject
from mar_core.format.yamltext import YamlFault
from mar_core.handlers.entry import find_entry
from mar_core.signature.declared import read_signature

if TYPE_CHECKING:
    import os

    from mar_core.format import Archive
    from mar_core.weights import WeightsReport

__all__ = [
    "HandlerSummary",
    "Inspection",
    "LockSummary",
    "MemberSummary",
    "WeightsSummary",
    "config_values",
    "inspect_archive",
    "summary_of_lock",
]

_EXAMPLES = "MAR-INF/examples/"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerSummary:
    """What a run would execute.

    Attributes:
        name: The handler as the manifest names it.
        origin: ``archive``, ``installed`` or ``missing``.
        member: The member that holds it, or None.
        module: The module that holds it, or None.
        entry: The function or class, or None where its text does not show it.
        distribution: The distribution that ships it, or None.
        version: That distribution's version, or None.
    """

    name: str
    origin: str
    member: str | None = None
    module: str | None = None
    entry: str | None = None
    distribution: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSummary:
    """The weights, from their headers.

    Attributes:
        member: The member that holds them.
        format: What they are, such as ``torch`` or ``safetensors``.
        parameters: Elements of all tensors, buffers included, or None where there is no list.
        dtypes: Elements by dtype.
        tensors: How many tensors there are.
        imports: What loading them would import beyond what rebuilds tensors.
        faults: What is wrong with them.
    """

    member: str
    format: str
    parameters: int | None
    dtypes: dict[str, int]
    tensors: int
    imports: list[str]
    faults: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSummary:
    """One member; ``sha256`` is None in archives that list no digests."""

    name: str
    size: int
    compressed_size: int
    stored: bool
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSummary:
    """The lock, which says what ``--env auto`` installs.

    Attributes:
        packages: Each package's version; of one that differs by platform, all of them.
        requires_python: The Pythons that it is for, or None.
        current: Whether it was made of the requirements beside it, as far as it says.
        fault: Why it cannot be read or installed, or None.
    """

    packages: dict[str, str] = field(default_factory=dict)
    requires_python: str | None = None
    current: bool = True
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """An archive, described.

    Attributes:
        archive: The archive, as it was named.
        kind: ``zip``, ``tgz`` or ``folder``.
        digest: What names its content, or None in archives that list no digests.
        name: The model's name.
        version: The model's version.
        runtime: What the handler is written in.
        created: When it was made, as the manifest says.
        archiver: The version of what made it, as the manifest says.
        handler: What a run would execute.
        model_file: The member that defines the network.
        weights: The weights.
        requirements: The lines of the requirements file, or what the handler's file lists.
        lock: What was locked, or None.
        config: model-config.yaml, or None.
        members: Every member in the order of the archive.
        size: Bytes of all members together, unpacked.
        examples: How many recorded examples it has.
        signature: What it takes and gives, as ``Signature.to_dict`` says it; None where nothing
            says it.
    """

    archive: str
    kind: str
    digest: str | None
    name: str | None
    version: str | None
    runtime: str
    created: str | None
    archiver: str | None
    handler: HandlerSummary | None
    model_file: str | None
    weights: WeightsSummary | None
    requirements: list[str] = field(default_factory=list)
    lock: LockSummary | None = None
    config: Any = None
    members: list[MemberSummary] = field(default_factory=list)
    size: int = 0
    examples: int = 0
    signature: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def inspect_archive(path: str | os.PathLike[str]) -> Inspection:
    """Describe an archive without importing, unpickling or running anything of it.

    Args:
        path: A ``.mar``, a ``.tar.gz`` or a folder.

    Raises:
        ArchiveError: It is not there, is not sound, or has no manifest.
        TooCostly: It costs more to examine than is allowed.
    """
    from mar_core.format.limits import budget
    from mar_core.format.reader import open_archive

    with open_archive(path) as archive, budget(archive.stored_size):
        return _describe(archive)


def _describe(archive: Archive) -> Inspection:
    manifest, subject = archive.manifest, Subject(archive)
    signature = read_signature(archive)
    digests = manifest.mar.get("members")
    listed = digests if isinstance(digests, dict) else {}
    members = [_member(archive, name, listed) for name in archive.members]
    return Inspection(
        archive=str(archive),
        kind=archive.kind,
        digest=manifest.digest if listed else None,
        name=manifest.model_name,
        version=manifest.model_version,
        runtime=manifest.runtime,
        created=_text(manifest.data.get("createdOn")),
        archiver=_text(manifest.data.get("archiverVersion")),
        handler=_handler(subject),
        model_file=manifest.model_file,
        weights=_weights(manifest.serialized_file, subject.weights),
        requirements=_requirements(subject),
        lock=summary_of_lock(subject),
        config=config_values(subject),
        members=members,
        size=sum(member.size for member in members),
        examples=len(_examples(archive)),
        signature=signature.to_dict() if signature is not None else None,
    )


def _member(archive: Archive, name: str, listed: dict[str, Any]) -> MemberSummary:
    member, entry = archive.members[name], listed.get(name)
    digest = entry.get("sha256") if isinstance(entry, dict) else None
    return MemberSummary(
        name=name,
        size=member.size,
        compressed_size=member.compressed_size,
        stored=member.stored,
        sha256=_text(digest),
    )


def _handler(subject: Subject) -> HandlerSummary | None:
    name, found = subject.manifest.handler, subject.handler
    if name is None:
        return None
    if found is None:
        shipped = subject.manifest.mar.get("handler")
        recorded = shipped if isinstance(shipped, dict) else {}
        return HandlerSummary(
            name=name,
            origin="missing",
            distribution=_text(recorded.get("distribution")),
            version=_text(recorded.get("version")),
        )
    module = subject.handler_module
    entry = found.target.partition(":")[2] if found.target else found.entry
    return HandlerSummary(
        name=name,
        origin="archive" if found.member else "installed",
        member=found.member,
        module=found.module,
        entry=find_entry(module, found.entry).name if module else entry,
        distribution=found.distribution,
        version=found.version,
    )


def _weights(member: str | None, report: WeightsReport | None) -> WeightsSummary | None:
    if member is None or report is None:
        return None
    return WeightsSummary(
        member=member,
        format=report.format.name,
        parameters=report.parameters if report.listed else None,
        dtypes=report.dtypes,
        tensors=len(report.tensors),
        imports=list(report.pickled_code),
        faults=[fault.message for fault in report.faults],
    )


def _requirements(subject: Subject) -> list[str]:
    if not subject.lists_requirements:
        return []
    from mar_core.checks.requirements import read_requirements

    return [line for _, line in read_requirements(subject)]


def summary_of_lock(subject: Subject) -> LockSummary | None:
    """What an archive's lock says; None where it has none."""
    if LOCK not in subject.archive.members:
        return None
    from mar_core.checks.lock import LockError, is_stale, read_lock

    try:
        lock = read_lock(subject)
    except LockError as error:
        return LockSummary(fault=str(error))
    if lock is None:
        return None
    return LockSummary(
        packages=lock.versions,
        requires_python=lock.requires_python,
        current=not is_stale(lock, subject),
        fault=next(lock.faults(), None),
    )


def config_values(subject: Subject) -> Any:
    """What model-config.yaml holds as plain JSON values; None where there is none to read."""
    try:
        return _plain(subject.config)
    except YamlFault:
        return None


def _plain(value: Any) -> Any:
    """The value with dates and other keys than texts made texts, as JSON wants it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _examples(archive: Archive) -> set[str]:
    """The folders of recorded inputs."""
    inner = (name.removeprefix(_EXAMPLES) for name in archive.members if name.startswith(_EXAMPLES))
    return {name.partition("/")[0] for name in inner if "/" in name}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
