"""The certificates of https addresses: what is taken, and what is said of the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import subprocess
import time

import pytest
import uvloop
from mar_serve.tls import Prompt, server_context

from mar_core import UsageError


def pair(folder, name, *options):
    """A certificate and its key, by openssl."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    names = ("-subj", "/CN=localhost")
    kind = options or ("-nodes", "-newkey", "rsa:2048")
    made = subprocess.run(
        ["openssl", "req", "-x509", *names, "-keyout", key, "-out", certificate, *kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return certificate, key


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return {
        "good": pair(folder, "good"),
        "weak": pair(folder, "weak", "-nodes", "-newkey", "rsa:1024"),
        "secret": pair(folder, "secret", "-passout", "pass:x", "-newkey", "rsa:2048"),
    }


class Gives(asyncio.Protocol):
    """Says something, and closes."""

    said = b"hello"

    def connection_made(self, transport):
        prompt = Prompt(transport, asyncio.get_running_loop())
        prompt.write(self.said)
        prompt.close()


@pytest.mark.parametrize("said", [b"hello", bytes(9_000_000)], ids=["short", "long"])
@pytest.mark.parametrize("loop_factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_ends_though_the_client_says_no_farewell(pairs, said, loop_factory):
    """And not before a slow client has all of it."""
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate of our own

    def ask(port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(9999))
            plain.sendall(outgoing.read())
            found = 0
            if len(said) > 9999:
                time.sleep(0.5)
            while piece := plain.recv(99999):  # times out where the connection stays
                incoming.write(piece)
                with contextlib.suppress(ssl.SSLWantReadError):
                    while piece := tls.read(99999):
                        found += len(piece)
            return found

    async def serve():
        loop = asyncio.get_running_loop()
        own = server_context(*pairs["good"])
        protocol = type("Says", (Gives,), {"said": said})
        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=own)
        async with server:
            return await asyncio.to_thread(ask, server.sockets[0].getsockname()[1])

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(serve()) == len(said)


def test_a_certificate_of_old_is_used_with_a_warning(pairs, caplog):
    with caplog.at_level(logging.WARNING, "mar_serve.server"):
        assert server_context(*pairs["good"])
        assert not caplog.messages
        assert server_context(*pairs["weak"])
    # Where the system's OpenSSL takes it as it is, there is nothing to be said.
    assert all("is weak (ee key too small): replace it" in one for one in caplog.messages)


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("good", "weak", "cannot be used for https: .*mismatch"),
        ("secret", "secret", "cannot be used for https: .*password"),
        ("good", None, "There is no file .*missing for the https address"),
    ],
)
def test_one_that_cannot_be_used_is_an_error(pairs, tmp_path, certificate, key, said):
    private = pairs[key][1] if key else tmp_path / "missing"
    with pytest.raises(UsageError, match=said):
        server_context(pairs[certificate][0], private)
