"""What a client is told when it gets no answer: TorchServe's statuses, types and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mar_core import HandlerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mar_core import Reply

__all__ = [
    "ServeError",
    "bad_request",
    "body_too_slow",
    "conflict",
    "failure_error",
    "forbidden",
    "internal",
    "invalid_key",
    "invalid_model",
    "method_not_allowed",
    "model_not_found",
    "model_version_not_found",
    "no_packages",
    "no_start",
    "no_worker",
    "not_found",
    "not_run",
    "stopping",
    "timed_out",
    "too_large",
    "unsupported_encoding",
    "valid_status",
    "version_not_found",
]

TOO_LARGE, OUT_OF_RESOURCES = 413, 507
NO_ANSWER, LEAST_STATUS, LARGEST_STATUS = 500, 200, 599


class ServeError(Exception):
    """An answer of 400 and up.

    Args:
        status: The HTTP status.
        kind: The name of the Java exception that clients match on.
        message: One sentence without paths, source or tracebacks.
        headers: More headers.
        more: More keys of the body.
        closes: Whether the connection ends with it, as TorchServe's do.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        more: dict[str, object] | None = None,
        closes: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = tuple(headers)
        self.more = more or {}
        self.closes = closes


def bad_request(message: str) -> ServeError:
    """A request that makes no sense."""
    return ServeError(400, "BadRequestException", message)


def invalid_key() -> ServeError:
    """No token, or not the right one."""
    return ServeError(
        400,
        "InvalidKeyException",
        "Token Authorization failed. Token either incorrect, expired, or not provided correctly",
    )


def invalid_model(message: str, findings: list[dict[str, object]] | None = None) -> ServeError:
    """An archive that is not sound."""
    more: dict[str, object] = {} if findings is None else {"findings": findings}
    return ServeError(400, "InvalidModelException", message, more=more)


def forbidden(message: str, kind: str = "IllegalArgumentException") -> ServeError:
    """Something that must not be done."""
    return ServeError(403, kind, message)


def not_found() -> ServeError:
    """No such path."""
    return ServeError(
        404,
        "ResourceNotFoundException",
        "Requested resource is not found, please refer to API document.",
    )


def model_not_found(message: str) -> ServeError:
    """No such model."""
    return ServeError(404, "ModelNotFoundException", message)


def version_not_found(name: str, version: str) -> ServeError:
    """The model has no such version."""
    return model_version_not_found(f"Model version: {version} does not exist for model: {name}")


def model_version_not_found(message: str) -> ServeError:
    """The same, where TorchServe has another text for it."""
    return ServeError(404, "ModelVersionNotFoundException", message)


def method_not_allowed() -> ServeError:
    """The path does not take this method."""
    return ServeError(
        405,
        "MethodNotAllowedException",
        "Requested method is not allowed, please refer to API document.",
    )


def timed_out(message: str) -> ServeError:
    """It took longer than the client wants to wait, or the client was too slow."""
    return ServeError(408, "RequestTimeoutException", message)


def not_run() -> ServeError:
    """Its deadline passed while it waited."""
    return timed_out("The request was not run before its deadline.")


def body_too_slow() -> ServeError:
    """The client was too slow with its body."""
    return timed_out("The body did not arrive in time.")


def conflict(message: str) -> ServeError:
    """It is there already."""
    return ServeError(409, "ConflictStatusException", message)


def too_large(limit: int) -> ServeError:
    """A body over the limit; TorchServe answers it with an empty body."""
    return ServeError(413, "TooLarge", f"The body has more than {limit} bytes.")


def unsupported_encoding(name: str) -> ServeError:
    """A body that is packed in a way that nobody here unpacks."""
    return ServeError(
        415, "BadRequestException", f"Content-Encoding {name!r} is not supported; send gzip."
    )


def internal(message: str) -> ServeError:
    """It went wrong here."""
    return ServeError(500, "InternalServerException", message)


def valid_status(status: int) -> int:
    """A status that HTTP has; a handler's other numbers are its own mistake."""
    return status if LEAST_STATUS <= status <= LARGEST_STATUS else NO_ANSWER


def failure_error(reply: Reply) -> ServeError:
    """What a client is told of a handler's failure."""
    status = valid_status(reply.status)
    status = OUT_OF_RESOURCES if status == TOO_LARGE else status  # 413 is a body too large
    return ServeError(status, "InternalServerException", reply.public)


def no_start(name: str, version: str, reason: object = None) -> ServeError:
    """Workers of a model that do not come up.

    Args:
        name: The model.
        version: The version that was asked for.
        reason: What went wrong: for a lack of memory there is a status of its own.
    """
    found = internal(f"Failed to start workers for model {name} version: {version}")
    if isinstance(reason, HandlerError) and reason.code == OUT_OF_RESOURCES:
        found.status = OUT_OF_RESOURCES
    return found


def no_packages(name: str, findings: list[dict[str, object]]) -> ServeError:
    """A model whose packages cannot be installed."""
    text = f"Custom pip package installation failed for model {name}"
    return ServeError(400, "ModelException", text, more={"findings": findings})


def no_worker(name: str, version: str | None, *, retry_after: int = 1) -> ServeError:
    """The queue is full, or there is nobody to answer: one text for both, as TorchServe has it.

    The connection stays, other than TorchServe's: who is refused comes again, and with a new
    connection each time a crowd of them would cost more than the answers of the others.
    """
    of = f'Model "{name}"' if version is None else f'Model "{name}" Version {version}"'
    return ServeError(
        503,
        "ServiceUnavailableException",
        f"{of} has no worker to serve inference request. Please use scale workers API to add "
        "workers. If this is a sequence inference, please check if it is closed, or expired; or "
        "exceeds maxSequenceJobQueueSize",
        headers=[(b"retry-after", str(retry_after).encode())],
        closes=False,
    )


def stopping() -> ServeError:
    """The server is on its way out."""
    return ServeError(
        503,
        "ServiceUnavailableException",
        "The server is stopping.",
        headers=[(b"retry-after", b"1")],
    )
