"""Certificates and keys, as the two PEM files that Python's TLS takes."""

from __future__ import annotations

import atexit
import datetime as dt
import ipaddress
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["self_signed", "unpacked"]


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
    return _written([certificate, *others], key)


def self_signed() -> tuple[Path, Path]:
    """A new key and a certificate for this machine, as TorchServe makes them where none is named.

    Returns:
        Two files in a folder that only this user can enter; it goes when the process ends.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _written([certificate], key)


def _written(chain: Sequence[Any], key: Any) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives import serialization

    folder = Path(tempfile.mkdtemp(prefix="mar-certificate-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pem = serialization.Encoding.PEM
    public, private = folder / "chain.pem", folder / "key.pem"
    public.write_bytes(b"".join(one.public_bytes(pem) for one in chain))
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private
