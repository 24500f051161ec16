"""gRPC's status codes for HTTP's, and errors as TorchServe's clients read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import grpc

if TYPE_CHECKING:
    from typing import Any

    from mar_serve import ServeError

__all__ = ["HTTP_PACKAGE", "abort", "code_of", "java_name"]

HTTP_PACKAGE = "org.pytorch.serve.http"
_ARCHIVE_PACKAGE = "org.pytorch.serve.archive"
_PACKAGES = {
    "ModelNotFoundException": f"{_ARCHIVE_PACKAGE}.model",
    "ModelVersionNotFoundException": f"{_ARCHIVE_PACKAGE}.model",
    "ModelException": f"{_ARCHIVE_PACKAGE}.model",
    "InvalidModelException": f"{_ARCHIVE_PACKAGE}.model",
    "DownloadArchiveException": _ARCHIVE_PACKAGE,
}
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    416: grpc.StatusCode.OUT_OF_RANGE,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
CLIENT, SERVER, LAST = 400, 500, 600


def code_of(status: int) -> grpc.StatusCode:
    """The code for an HTTP status, as TorchServe has it."""
    if status in _CODES:
        return _CODES[status]
    if CLIENT <= status < SERVER:
        return grpc.StatusCode.FAILED_PRECONDITION
    return grpc.StatusCode.INTERNAL if SERVER <= status < LAST else grpc.StatusCode.UNKNOWN


def java_name(error: ServeError) -> str:
    """The name of TorchServe's exception, with its package, which clients match on."""
    return f"{_PACKAGES.get(error.kind, HTTP_PACKAGE)}.{error.kind}"


async def abort(context: Any, error: ServeError, code: grpc.StatusCode | None = None) -> NoReturn:
    """End a call with an error: ``MESSAGE``, and the exception's name in a line of its own.

    Args:
        context: The call.
        error: What is wrong.
        code: In place of the one that its HTTP status stands for.

    Raises:
        grpc.aio.AbortError: Always.
    """
    # What is wrong before a worker is asked has no package in TorchServe's inference services.
    early = error.kind == "BadRequestException" and code is grpc.StatusCode.INTERNAL
    details = f"{error.message}\n{'BadRequestException.()' if early else java_name(error)}"
    await context.abort(code or code_of(error.status), details)
    raise AssertionError("abort does not return")
