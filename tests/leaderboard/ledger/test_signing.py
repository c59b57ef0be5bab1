"""Signatures of the test vectors; without the library the error says what to do."""

import sys

import ed25519_stand_in
import pytest

from recombine.leaderboard.ledger.signing import Ed25519Signer, verify_signature
from recombine.renderer.core.errors import IntegrityError, ResourceError

# RFC 8032, section 7.1: secret key, public key, message, signature
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
            "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
            "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]


@pytest.fixture
def library(monkeypatch):
    try:
        import cryptography  # noqa: F401
    except ImportError:
        ed25519_stand_in.install(monkeypatch)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_the_vectors_of_the_standard(secret, public, message, signature):
    signer = Ed25519Signer(bytes.fromhex(secret))
    assert signer.public_key.hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    verify_signature(signer.public_key, bytes.fromhex(signature), bytes.fromhex(message))


@pytest.mark.usefixtures("library")
def test_anything_else_is_refused():
    signer = Ed25519Signer(bytes(32))
    good = signer.sign(b"message")
    flipped = bytes([good[0] ^ 1]) + good[1:]
    other = Ed25519Signer(bytes([1] * 32)).public_key
    for key, signature, message in [
        (signer.public_key, good, b"messagf"),
        (signer.public_key, flipped, b"message"),
        (signer.public_key, good[:63], b"message"),
        (other, good, b"message"),
        (b"short", good, b"message"),
    ]:
        with pytest.raises(IntegrityError, match="signature"):
            verify_signature(key, signature, message)


def test_without_the_library_the_error_is_typed(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(ResourceError, match="pip install cryptography"):
        Ed25519Signer(bytes(32)).sign(b"x")
    with pytest.raises(ResourceError, match="cryptography"):
        verify_signature(bytes(32), bytes(64), b"x")
