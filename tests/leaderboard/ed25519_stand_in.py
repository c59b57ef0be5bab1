"""Ed25519 after RFC 8032, section 6, in the shape of the optional library `cryptography`.

Slow and not hardened: for tests on machines without the library. `install` puts it in its place.
"""

import hashlib
import sys
import types

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _add(a, b):
    x, y = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    z, t = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = y - x, t - z, t + z, y + x
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(s, point):
    out = (0, 1, 1, 0)
    while s:
        if s & 1:
            out = _add(out, point)
        point, s = _add(point, point), s >> 1
    return out


def _equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    if square % P == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return x if x & 1 == sign else P - x


GY = 4 * pow(5, P - 2, P) % P
GX = _x(GY, 0)
G = (GX, GY, 1, GX * GY % P)


def _pack(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _unpack(raw):
    y = int.from_bytes(raw, "little")
    x = _x(y & (2**255 - 1), y >> 255)
    return None if x is None else (x, y & (2**255 - 1), 1, x * (y & (2**255 - 1)) % P)


def _hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % Q


class InvalidSignature(Exception):
    pass


class Ed25519PrivateKey:
    def __init__(self, raw):
        digest = hashlib.sha512(raw).digest()
        self.a = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
        self.prefix, self.public = digest[32:], _pack(_times(self.a, G))

    @classmethod
    def from_private_bytes(cls, raw):
        if len(raw) != 32:
            raise ValueError("An Ed25519 private key is 32 bytes long")
        return cls(raw)

    def public_key(self):
        return Ed25519PublicKey(self.public)

    def sign(self, message):
        r = _hash(self.prefix, message)
        begin = _pack(_times(r, G))
        s = (r + _hash(begin, self.public, message) * self.a) % Q
        return begin + s.to_bytes(32, "little")


class Ed25519PublicKey:
    def __init__(self, raw):
        self.raw = raw

    @classmethod
    def from_public_bytes(cls, raw):
        if len(raw) != 32:
            raise ValueError("An Ed25519 public key is 32 bytes long")
        return cls(raw)

    def public_bytes_raw(self):
        return self.raw

    def verify(self, signature, message):
        a, r = _unpack(self.raw), _unpack(signature[:32])
        s = int.from_bytes(signature[32:], "little")
        if len(signature) != 64 or a is None or r is None or s >= Q:
            raise InvalidSignature
        h = _hash(signature[:32], self.raw, message)
        if not _equal(_times(s, G), _add(r, _times(h, a))):
            raise InvalidSignature


def install(monkeypatch):
    """Put the stand-in where the library would be, for one test."""
    names = ["cryptography", "hazmat", "primitives", "asymmetric", "ed25519"]
    modules = {}
    for i in range(len(names)):
        path = ".".join(names[: i + 1])
        modules[path] = types.ModuleType(path)
        if i:
            setattr(modules[".".join(names[:i])], names[i], modules[path])
    last = modules[".".join(names)]
    last.Ed25519PrivateKey, last.Ed25519PublicKey = Ed25519PrivateKey, Ed25519PublicKey
    modules["cryptography.exceptions"] = types.ModuleType("cryptography.exceptions")
    modules["cryptography.exceptions"].InvalidSignature = InvalidSignature
    for path, module in modules.items():
        monkeypatch.setitem(sys.modules, path, module)
