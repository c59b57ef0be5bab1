"""Ed25519 signatures, behind the optional library ``cryptography`` (the extra ``sign``)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recombine.renderer.core.errors import IntegrityError, ResourceError, UsageError
from recombine.renderer.core.system import system_error


class Signer(Protocol):
    """Anything that signs."""

    @property
    def public_key(self) -> bytes:
        """Return the 32 bytes that verify its signatures."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        ...


@dataclass(frozen=True)
class Ed25519Signer:
    """Signs with a private key."""

    private_key: bytes  # 32 secret bytes

    @property
    def public_key(self) -> bytes:
        """Return the 32 public bytes."""
        key = _library().Ed25519PrivateKey.from_private_bytes(self.private_key)
        return bytes(key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature (RFC 8032, section 5.1.6)."""
        key = _library().Ed25519PrivateKey.from_private_bytes(self.private_key)
        return bytes(key.sign(message))


def read_key(path: Path) -> Ed25519Signer:
    """Read a private key."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        if refused := system_error(path, error):
            raise refused from error  # no advice to make a new one
        key = b""
    if len(key) != 32:
        raise UsageError(
            f"{path}: expected a private key of 64 hexadecimal digits, found none; make one with "
            f"`openssl rand -hex 32`"
        )
    return Ed25519Signer(key)


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature."""
    library = _library()
    invalid = importlib.import_module("cryptography.exceptions").InvalidSignature
    try:
        library.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (invalid, ValueError) as error:
        raise IntegrityError(
            f"signature: expected one by key {public_key.hex()[:16]}, got another; the content was "
            "changed, or the key is not the one that signed"
        ) from error


def _library() -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError as error:
        raise ResourceError(
            "signing: expected the library cryptography, found none; install it with "
            "`pip install cryptography`"
        ) from error
