"""model-config.yaml: plain, bounded YAML, with TorchServe's keys of TorchServe's types.

Everything but TorchServe's keys is the handler's own and passes as it is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from mar_core.checks.table import rule_finding
from mar_core.format.yamltext import MAX_BYTES, YamlFault, read_yaml

if TYPE_CHECKING:
    from mar_core.checks.subject import Subject
    from mar_core.findings import Finding

__all__ = ["config_findings"]

# Takes a key and its value; gives codes and sentences.
_Checker: TypeAlias = Callable[[str, Any], Iterator[tuple[str, str]]]
_KINDS = {
    str: "a string", bool: "a boolean", list: "a list", dict: "a mapping", int: "an integer",
    float: "a float",
}  # fmt: skip
_MOST = (1 << 31) - 1  # what Java calls an int
_TYPE, _RANGE, _SPELLING = "MAR-Y006", "MAR-Y007", "MAR-Y008"


def config_findings(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the config.

    Args:
        subject: The archive.
    """
    name = subject.manifest.config_file
    if name is None or name not in subject.archive.members:
        return
    try:
        config = subject.config
    except YamlFault as fault:
        yield rule_finding(fault.code, fault.message, member=name)
        return
    if config is None:
        yield rule_finding("MAR-Y004", "The file is empty.", member=name)
    elif not isinstance(config, dict):
        kind = "a list" if isinstance(config, list) else "a single value"
        yield rule_finding("MAR-Y003", f"The file holds {kind}.", member=name)
    else:
        for code, message in (*_check_schema(config), *_check_metrics(subject, config)):
            yield rule_finding(code, message, member=name)


def _check_schema(config: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a config: rule codes with one sentence each."""
    yield from _check_keys(config, _KEYS, prefix="")
    for key in config:
        known = _BY_LOOK.get(_look(key)) if isinstance(key, str) else None
        if known is not None and known != key:
            yield _SPELLING, f"The key {key!r} is not {known!r}, which TorchServe reads."
    fewest, most = config.get("minWorkers", 0), config.get("maxWorkers")
    if isinstance(fewest, int) and isinstance(most, int) and most < fewest:
        yield _RANGE, f"maxWorkers is {most}, less than minWorkers, which is {fewest}."


def _check_metrics(subject: Subject, config: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    """Whether the archive's own file of metrics is there, and is what loading it will take."""
    from mar_core.ts.metrics.config import CONFIG_ERRORS, CONFIG_KEY, MetricsConfig

    named = config.get(CONFIG_KEY)
    if not isinstance(named, str):  # a key of the handler's own
        return
    member, why = subject.archive.members.get(posixpath.normpath(named)), "it is not in the archive"
    try:
        if member is not None:
            why = f"it is more than {MAX_BYTES:,} bytes" if member.size > MAX_BYTES else ""
        if not why and member is not None:
            MetricsConfig.of(read_yaml(subject.archive.read(member.name)))
    except (YamlFault, *CONFIG_ERRORS) as error:
        why = str(error.args[0]).rstrip(".")
    if why:
        yield "MAR-Y009", f"{CONFIG_KEY} is {named[:100]!r}, which cannot be used: {why}."


def _check_keys(
    config: dict[Any, Any], keys: dict[str, _Checker], *, prefix: str
) -> Iterator[tuple[str, str]]:
    for key, checker in keys.items():
        if key in config:
            yield from checker(f"{prefix}{key}", config[key])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_type(key: str, value: Any, expected: str) -> tuple[str, str]:
    what = "empty" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")
    return _TYPE, f"{key} is {what}, where {expected} is expected."


def _whole(minimum: int = 0) -> _Checker:
    def check(key: str, value: Any) -> Iterator[tuple[str, str]]:
        if not _is_whole(value):
            yield _wrong_type(key, value, "an integer")
        elif value < minimum:
            yield _RANGE, f"{key} is {value}, less than {minimum}."
        elif value > _MOST:
            yield _RANGE, f"{key} is more than {_MOST:,}, the largest integer of TorchServe's."

    return check


def _of(kind: type, expected: str) -> _Checker:
    def check(key: str, value: Any) -> Iterator[tuple[str, str]]:
        if not isinstance(value, kind):
            yield _wrong_type(key, value, expected)

    return check


def _one_of(*choices: str) -> _Checker:
    def check(key: str, value: Any) -> Iterator[tuple[str, str]]:
        if not isinstance(value, str):
            yield _wrong_type(key, value, "a string")
        elif value.lower() not in choices:
            yield _RANGE, f"{key} is {value[:40]!r}, none of {', '.join(choices)}."

    return check


def _mapping(keys: dict[str, _Checker]) -> _Checker:
    def check(key: str, value: Any) -> Iterator[tuple[str, str]]:
        if not isinstance(value, dict):
            yield _wrong_type(key, value, "a mapping")
        else:
            yield from _check_keys(value, keys, prefix=f"{key}.")

    return check


def _device_ids(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield _wrong_type(key, value, "a list of integers")
    elif not all(_is_whole(item) for item in value):
        yield _TYPE, f"{key} holds something else than integers."
    elif any(item < 0 for item in value):
        yield _RANGE, f"{key} holds a number less than 0."


def _pt2(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """A backend; ``compile`` and ``export`` mappings; or, as once, the arguments themselves."""
    if isinstance(value, dict):
        yield from _check_keys(value, _PT2, prefix=f"{key}.")
    elif not isinstance(value, str):
        yield _wrong_type(key, value, "the name of a backend or a mapping")


def _own_mapping(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """The handler's own: any mapping, or a heading with nothing below it."""
    if value is not None and not isinstance(value, dict):
        yield _wrong_type(key, value, "a mapping")


_FLAG, _TEXT = _of(bool, "a boolean"), _of(str, "a string")
_PT2: dict[str, _Checker] = {
    "compile": _mapping({"enable": _FLAG, "backend": _TEXT, "mode": _TEXT}),
    "export": _mapping({"aot_compile": _FLAG}),
    "backend": _TEXT,
    "mode": _TEXT,
}
_TORCHRUN: dict[str, _Checker] = {
    "nnodes": _whole(1),
    "nproc-per-node": _whole(1),
    "rdzv-backend": _TEXT,
    "rdzv-endpoint": _TEXT,
    "rdzv-conf": _TEXT,
    "monitor-interval": _whole(),
    "node-rank": _whole(),
    "OMP_NUMBER_THREADS": _whole(1),
}
_STAGES = ("preprocess", "inference", "postprocess")
_KEYS: dict[str, _Checker] = {
    "minWorkers": _whole(),
    "maxWorkers": _whole(),
    "batchSize": _whole(1),
    "maxBatchDelay": _whole(),
    "responseTimeout": _whole(),
    "startupTimeout": _whole(),
    "deviceType": _one_of("cpu", "gpu"),
    "deviceIds": _device_ids,
    "parallelType": _one_of("pp", "tp", "pptp", "custom"),
    "parallelLevel": _whole(),
    "torchrun": _mapping(_TORCHRUN),
    "maxRetryTimeoutInSec": _whole(),
    "clientTimeoutInMills": _whole(),
    "jobQueueSize": _whole(1),
    "useJobTicket": _FLAG,
    "sequenceBatching": _FLAG,
    "continuousBatching": _FLAG,
    "sequenceMaxIdleMSec": _whole(),
    "sequenceTimeoutMSec": _whole(),
    "maxSequenceJobQueueSize": _whole(1),
    "maxNumSequence": _whole(1),
    "asyncCommunication": _FLAG,
    "useVenv": _FLAG,
    "pt2": _pt2,
    "micro_batching": _mapping(
        {
            "micro_batch_size": _whole(1),
            "parallelism": _mapping(dict.fromkeys(_STAGES, _whole(1))),
        }
    ),
    "handler": _own_mapping,
}


def _look(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


_BY_LOOK = {_look(key): key for key in _KEYS}
