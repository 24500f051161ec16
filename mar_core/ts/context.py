"""The context that handlers are given: TorchServe's, attribute by attribute.

It is a plain mutable object on purpose. Handlers hang things of their own on it, copy it and
compare it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from mar_core.cache.files import ModelFiles
from mar_core.errors import ArchiveError
from mar_core.ts.metrics import metrics_for
from mar_core.ts.version import SERVER_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mar_core.format.manifest import Manifest

__all__ = [
    "Context", "RequestProcessor", "begin_batch", "context_at_work", "make_context",
    "parse_config", "read_config", "working_on",
]  # fmt: skip

CONTENT_TYPE = "content-type"
# A handler's stages may work on several batches at once, in threads.
_at_work: ContextVar[tuple[object, Any] | None] = ContextVar("_at_work", default=None)


class Context:
    """What a handler knows of its model, of this batch, and of the machine.

    Args:
        model_name: The model's name.
        model_dir: The folder that holds the unpacked archive.
        manifest: The manifest as parsed, or None.
        batch_size: The largest number of requests in a batch.
        gpu: The number of the accelerator to use, or None for the CPU.
        mms_version: The version of TorchServe that handlers should believe in.
        limit_max_image_pixels: Whether very large images are refused.
        metrics: Where the handler records metrics.
        model_yaml_config: The archive's model-config.yaml as parsed; empty where there is none.

    Attributes:
        cl_socket: The socket of TorchServe's own server, in a worker of its; None elsewhere.
        request_ids: The id of each request of this batch, by its index.
        request_processor: One ``RequestProcessor`` for each request of this batch.
        stopping_criteria: For continuous batching: for each index, a function of one result that
            says whether its request is done.
        sink: A function that takes the index of a request and a part of its answer that the
            handler sends ahead, or None where parts are dropped.
        model_loaders: The plugins that may load the model, while the handler is initialized.
        files: The files of the archive, which are read where they lie; None where a folder is all
            there is.
    """

    files: ModelFiles | None = None
    model_loaders: Any = None
    cl_socket: Any = None

    def __init__(  # noqa: PLR0917 - TorchServe's signature
        self,
        model_name: str | None,
        model_dir: str | None,
        manifest: dict[str, Any] | None,
        batch_size: int | None,
        gpu: int | str | None,
        mms_version: str,
        limit_max_image_pixels: bool = True,  # noqa: FBT001, FBT002
        metrics: Any = None,
        model_yaml_config: dict[str, Any] | None = None,
    ) -> None:
        self.model_name = model_name
        self.manifest = manifest
        self._system_properties: dict[str, Any] = {
            "model_dir": model_dir,
            "gpu_id": gpu,
            "batch_size": batch_size,
            "server_name": "MMS",
            "server_version": mms_version,
            "limit_max_image_pixels": limit_max_image_pixels,
        }
        self.request_ids: dict[int, str] | None = None
        self._request_processor: list[RequestProcessor] | None = None
        self._metrics = metrics
        self.model_yaml_config = {} if model_yaml_config is None else model_yaml_config
        self.stopping_criteria: Any = None
        self.sink: Callable[[int, Any], None] | None = None
        self.header_key_sequence_id = _header("ID")
        self.header_key_sequence_start = _header("START")
        self.header_key_sequence_end = _header("END")

    @property
    def system_properties(self) -> dict[str, Any]:
        """The folder, the accelerator and the limits.

        ``model_dir``, ``gpu_id``, ``batch_size``, ``server_name``, ``server_version`` and
        ``limit_max_image_pixels``. What of the archive is not unpacked yet is when ``model_dir`` is
        asked for.
        """
        return self._system_properties

    @property
    def request_processor(self) -> Any:
        """One ``RequestProcessor`` for each request of this batch, or None before the first."""
        return self._request_processor

    @request_processor.setter
    def request_processor(self, request_processor: Any) -> None:
        self._request_processor = request_processor

    @property
    def metrics(self) -> Any:
        """Where the handler records metrics."""
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Any) -> None:
        self._metrics = metrics

    def get_request_id(self, idx: int = 0) -> str | None:
        """The id of one request of this batch."""
        return None if self.request_ids is None else self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> Any:
        """One header of one request, or None; the key is taken as it was sent."""
        return self._request(idx).get_request_property(key)

    def get_all_request_header(self, idx: int) -> dict[str, Any]:
        """All headers of one request."""
        return self._request(idx).get_request_properties()

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Say what the answer to one request is."""
        self.set_response_header(idx, CONTENT_TYPE, value)

    def get_response_content_type(self, idx: int) -> str | None:
        """What the handler said the answer to one request is."""
        return self.get_response_headers(idx).get(CONTENT_TYPE)

    def get_response_status(self, idx: int) -> tuple[int, str | None]:
        """The status code and phrase of the answer to one request."""
        request = self._request(idx)
        return request.get_response_status_code(), request.get_response_status_phrase()

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Set the status of the answer to one request; outside a batch it has no effect."""
        if self._request_processor is not None and self._request_processor[idx] is not None:
            self._request_processor[idx].report_status(code, reason_phrase=phrase)

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Set the status of the answers to all requests of this batch."""
        for request in self._request_processor or ():
            request.report_status(code, reason_phrase=phrase)

    def get_response_headers(self, idx: int) -> dict[str, str]:
        """The headers of the answer to one request."""
        return self._request(idx).get_response_headers()

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Add a header to the answer to one request."""
        self._request(idx).add_response_property(key, value)

    def get_sequence_id(self, idx: int) -> Any:
        """The id of the sequence that one request belongs to, or None."""
        return self.get_request_header(idx, self.header_key_sequence_id)

    def _request(self, idx: int) -> RequestProcessor:
        """The request of that index; before the first batch, one that nobody sent."""
        if self._request_processor is None:
            return RequestProcessor({})
        return self._request_processor[idx]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # as in TorchServe: it is mutable


class RequestProcessor:
    """One request's headers, and what the handler says about its answer.

    Args:
        request_header: The request's headers.
    """

    def __init__(self, request_header: dict[str, Any]) -> None:
        self._status_code = 200
        self._reason_phrase: str | None = None
        self._response_header: dict[str, str] = {}
        self._request_header = request_header

    def get_request_property(self, key: str) -> Any:
        """One header of the request, or None."""
        return self._request_header.get(key)

    def get_request_properties(self) -> dict[str, Any]:
        """All headers of the request."""
        return self._request_header

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        """Set the status of the answer."""
        self._status_code = code
        self._reason_phrase = reason_phrase

    def get_response_status_code(self) -> int:
        """The status code of the answer; 200 unless set."""
        return self._status_code

    def get_response_status_phrase(self) -> str | None:
        """The status phrase of the answer, or None."""
        return self._reason_phrase

    def add_response_property(self, key: str, value: str) -> None:
        """Add a header to the answer."""
        self._response_header[key] = value

    def get_response_headers(self) -> dict[str, str]:
        """All headers of the answer."""
        return self._response_header

    def get_response_header(self, key: str) -> str | None:
        """One header of the answer, or None."""
        return self._response_header.get(key)


class _Properties(dict[str, Any]):
    """System properties, whose folder is unpacked as soon as somebody looks at it."""

    def __init__(self, properties: dict[str, Any], files: ModelFiles) -> None:
        super().__init__(properties)
        self._files: ModelFiles | None = files

    def _unpack(self) -> None:
        if self._files is not None:
            super().__setitem__("model_dir", str(self._files.unpack_all()))
            self._files = None

    def __getitem__(self, key: str) -> Any:
        if key == "model_dir":
            self._unpack()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        if key == "model_dir":
            self._unpack()
        return super().get(key, default)

    def values(self) -> Any:
        self._unpack()
        return super().values()

    def items(self) -> Any:
        self._unpack()
        return super().items()

    def __iter__(self) -> Iterator[str]:  # with it, dict() and ** read by __getitem__
        return super().__iter__()

    def __reduce__(self) -> Any:
        return dict, (dict(self.items()),)

    def copy(self) -> dict[str, Any]:
        return dict(self.items())


def make_context(
    manifest: Manifest,
    files: ModelFiles | Path,
    *,
    gpu_id: int | None = None,
    batch_size: int = 1,
    limit_max_image_pixels: bool = True,
    metrics_config: Path | None = None,
    config: dict[str, Any] | None = None,
) -> Context:
    """The context of an unpacked archive, with its model-config.yaml read.

    Args:
        manifest: The archive's manifest.
        files: Its files, or the folder that holds them.
        gpu_id: The number of the accelerator to use, or None for the CPU.
        batch_size: The largest number of requests in a batch.
        limit_max_image_pixels: Whether very large images are refused.
        metrics_config: TorchServe's file of that name, which says what metrics there are.
        config: The archive's model-config.yaml, where it has been read already.

    Raises:
        ArchiveError: The config file is missing, or is not a YAML mapping.
        UsageError: The file of metrics cannot be used.
    """
    if not isinstance(files, ModelFiles):
        files = ModelFiles(files)
    if config is None:
        config = read_config(files.path(manifest.config_file)) if manifest.config_file else {}
    context = Context(
        manifest.model_name,
        str(files.folder),
        manifest.data,
        batch_size,
        gpu_id,
        SERVER_VERSION,
        limit_max_image_pixels,
        metrics_for(manifest.model_name, files.folder, config, metrics_config),
        config,
    )
    context.files = files
    context._system_properties = _Properties(context.system_properties, files)  # noqa: SLF001
    return context


def read_config(path: Path) -> dict[str, Any]:
    """A model-config.yaml as parsed; an empty file is an empty mapping.

    Raises:
        ArchiveError: It is missing, or is not a YAML mapping.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path.name, error) from error
    return parse_config(content, path.name)


def parse_config(content: bytes, name: str) -> dict[str, Any]:
    """The same from the file's content.

    Args:
        content: The file's bytes.
        name: What the file is called.

    Raises:
        ArchiveError: It is not a YAML mapping.
    """
    import yaml

    try:
        config = yaml.safe_load(content.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unreadable(name, error) from error
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise ArchiveError(
            f"The config file {name} holds a {type(config).__name__}.",
            hint="Write it as `key: value` lines.",
        )
    return config


def _unreadable(name: str, error: Exception) -> ArchiveError:
    reason = " ".join(str(error).split())
    return ArchiveError(f"The config file {name} cannot be read: {reason}.")


def begin_batch(
    context: Context, request_ids: Iterable[str], headers: Iterable[Mapping[str, Any]]
) -> None:
    """Tell a context which requests the next batch holds.

    Args:
        context: The context.
        request_ids: The id of each request.
        headers: The headers of each request.
    """
    context.request_ids = dict(enumerate(request_ids))
    context.request_processor = [RequestProcessor(dict(header)) for header in headers]
    metrics = context.metrics
    if hasattr(metrics, "request_ids"):
        metrics.request_ids = context.request_ids


def context_at_work(handler: object) -> Any:
    """The context of the batch that a handler works on in this thread; None where it does not."""
    found = _at_work.get()
    return found[1] if found is not None and found[0] is handler else None


@contextmanager
def working_on(handler: object, context: Any) -> Iterator[None]:
    """Have a handler's ``context`` be that of the batch, whatever other threads work on.

    Args:
        handler: The handler.
        context: The context of the batch.
    """
    token = _at_work.set((handler, context))
    try:
        yield
    finally:
        _at_work.reset(token)


def _header(part: str) -> str:
    return os.environ.get(f"TS_REQUEST_SEQUENCE_{part}", f"ts_request_sequence_{part.lower()}")
