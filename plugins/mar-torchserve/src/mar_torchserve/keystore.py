"""A Java keystore, as the two PEM files that Python's TLS takes."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from mar_core import UsageError

__all__ = ["unpacked"]


def unpacked(keystore: Path, password: str, kind: str) -> tuple[Path, Path]:
    """The certificate chain and the private key of a PKCS12 file.

    Args:
        keystore: The file.
        password: Its password.
        kind: ``PKCS12``; nothing else can be read.

    Returns:
        Two files in a folder that only this user can enter; it goes when the process ends.

    Raises:
        UsageError: The file cannot be read, or holds no key.
    """
    if kind.upper() not in {"PKCS12", "P12"}:
        raise UsageError(
            f"A keystore of the type {kind} cannot be read here.",
            hint=f"Convert it: keytool -importkeystore -srckeystore {keystore} "
            "-destkeystore keystore.p12 -deststoretype PKCS12",
        )
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        key, certificate, others = pkcs12.load_key_and_certificates(
            keystore.read_bytes(), password.encode()
        )
    except OSError as error:
        raise UsageError(f"{keystore} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(
            f"{keystore} is no PKCS12 file, or keystore_pass is wrong: {error}."
        ) from error
    if key is None or certificate is None:
        raise UsageError(f"{keystore} holds no private key with its certificate.")
    folder = Path(tempfile.mkdtemp(prefix="mar-keystore-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pem = serialization.Encoding.PEM
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(one.public_bytes(pem) for one in (certificate, *others)))
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private
