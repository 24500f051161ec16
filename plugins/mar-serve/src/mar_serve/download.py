"""Downloading an archive without being led astray.

A URL that is allowed may be redirected to one that is not, and a name may be that of a machine in
the network that the server stands in. So redirects are checked like URLs, the addresses of a name
are looked at, and the connection goes to the address that was looked at, not to the name again.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import re
import shutil
import socket
import ssl
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

__all__ = ["Forbidden", "download"]

MOST_BYTES = 64 << 30
MOST_REDIRECTS = 5
SECONDS = 60.0
CHUNK = 1 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FINE = 200


class Forbidden(Exception):  # noqa: N818 - a refusal, not a failure
    """A URL that may not be fetched."""


def download(url: str, target: Path, *, allowed: Sequence[str]) -> None:
    """Fetch a file; it has its name only when all of it is there.

    Args:
        url: Where it is: ``http``, ``https`` or ``file``.
        target: Where it goes.
        allowed: The patterns of URLs that may be fetched.

    Raises:
        Forbidden: The URL, or one that it is redirected to, is not allowed.
        OSError: It cannot be had.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            _fetch(url, file, allowed)
        part.rename(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _fetch(url: str, file: BinaryIO, allowed: Sequence[str]) -> None:
    for redirects in range(MOST_REDIRECTS + 1):
        matched = [pattern for pattern in allowed if re.fullmatch(pattern, url)]
        if not matched:
            raise Forbidden(url)
        parts = urllib.parse.urlsplit(url)
        # What stands before an @ looks like a host to a pattern, and is none.
        if "@" in parts.netloc or "\\" in url or not url.isprintable() or " " in url:
            raise Forbidden(url)
        if ".." in urllib.parse.unquote(parts.path).split("/"):  # leaves what a pattern allows
            raise Forbidden(url)
        if parts.scheme == "file":
            if redirects:  # another machine does not say what is read from this one
                raise Forbidden(url)
            _copy_local(parts, file)
            return
        connection = _connection(parts, matched)
        try:
            answer = _get(connection, parts)
            if answer.status in _REDIRECTS:
                url = urllib.parse.urljoin(url, answer.headers.get("location", ""))
                continue
            if answer.status != _FINE:
                raise OSError(f"status {answer.status}")
            _copy(answer, file)
            return
        finally:
            connection.close()
    raise OSError("too many redirects")


def _copy_local(parts: urllib.parse.SplitResult, file: BinaryIO) -> None:
    path = Path(urllib.parse.unquote(parts.path))
    if not path.is_file():  # a device or a pipe may have no end
        raise OSError(f"{path} is no file")
    with path.open("rb") as source:
        shutil.copyfileobj(source, file, CHUNK)


def _connection(
    parts: urllib.parse.SplitResult, matched: Sequence[str]
) -> http.client.HTTPConnection:
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Forbidden(parts.geturl())
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    address = _address(parts.hostname, port, matched)
    if secure:
        return _Pinned(parts.hostname, port, address)
    return http.client.HTTPConnection(address, port, timeout=SECONDS)


def _address(host: str, port: int, matched: Sequence[str]) -> str:
    """The address to connect to.

    Raises:
        OSError: It is not one of the open Internet's, and no pattern names it.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in found]
    private = [a for a in addresses if not ipaddress.ip_address(a.partition("%")[0]).is_global]
    # The user may mean a machine of theirs; then the pattern says its address, letter by letter.
    literal = host in addresses and any(host in _plain(pattern) for pattern in matched)
    if private and not literal:
        raise OSError(f"{host} is a private address; a pattern of allowed URLs must name it")
    return addresses[0]


def _plain(pattern: str) -> str:
    return pattern.replace("\\", "")


def _get(
    connection: http.client.HTTPConnection, parts: urllib.parse.SplitResult
) -> http.client.HTTPResponse:
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    connection.request("GET", path, headers={"Host": parts.netloc})
    return connection.getresponse()


def _copy(answer: http.client.HTTPResponse, file: BinaryIO) -> None:
    size = 0
    while piece := answer.read(CHUNK):
        size += len(piece)
        if size > MOST_BYTES:
            raise OSError("the file is too large")
        file.write(piece)
    expected = answer.headers.get("content-length")
    if expected is not None and int(expected) != size:
        raise OSError("the file ends too early")


class _Pinned(http.client.HTTPSConnection):
    """HTTPS to an address that has been looked at; the certificate is that of the name."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=SECONDS, context=ssl.create_default_context())
        self._address = address

    def connect(self) -> None:
        """Connect."""
        plain = socket.create_connection((self._address, self.port), SECONDS)
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(plain, server_hostname=self.host)
