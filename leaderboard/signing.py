"""Ed25519 signatures, behind the optional library ``cryptography`` (the extra ``sign``)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

from recombine.renderer.errors import IntegrityError, ResourceError


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
    """Signs with a private key.

    Attributes
    ----------
    private_key : bytes
        32 secret bytes.
    """

    private_key: bytes

    @property
    def public_key(self) -> bytes:
        """Return the 32 public bytes."""
        key = _library().Ed25519PrivateKey.from_private_bytes(self.private_key)
        return bytes(key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature (RFC 8032, section 5.1.6).

        Parameters
        ----------
        message : bytes
            What is signed.

        Returns
        -------
        bytes
            Equal for equal messages.

        Raises
        ------
        ResourceError
            When the library is not installed.
        """
        key = _library().Ed25519PrivateKey.from_private_bytes(self.private_key)
        return bytes(key.sign(message))


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature.

    Parameters
    ----------
    public_key : bytes
        32 bytes.
    signature : bytes
        64 bytes.
    message : bytes
        What was signed.

    Raises
    ------
    IntegrityError
        When the signature is not of this message by this key.
    ResourceError
        When the library is not installed.
    """
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
