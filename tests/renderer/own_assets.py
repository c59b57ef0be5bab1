"""Files of a user, made by the tests: a mesh, a panorama, a texture, and the ledger over them."""

import hashlib
import json
import struct
import zlib

import numpy as np

CUBE = np.array([[x, y, z] for x in (0, 2) for y in (0, 1) for z in (0, 3)], np.float32)
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def glb(points=CUBE, colour=(0.9, 0.02, 0.02, 1.0), **changes):
    """Return a binary glTF file of a box with a material of its own (y is up)."""
    corners = np.array([i for a, b, c, d in SIDES for i in (a, b, c, a, c, d)], np.uint16)
    points = np.ascontiguousarray(points, np.float32)
    body = points.tobytes() + corners.tobytes()
    scene = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0}}],
        "buffers": [{"byteLength": len(body)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": points.nbytes},
            {"buffer": 0, "byteOffset": points.nbytes, "byteLength": corners.nbytes},
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": len(points),
                "type": "VEC3",
                "min": points.min(0).tolist(),
                "max": points.max(0).tolist(),
            },
            {"bufferView": 1, "componentType": 5123, "count": len(corners), "type": "SCALAR"},
        ],
    } | changes
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    body += b"\0" * (-len(body) % 4)
    total = 12 + 8 + len(text) + 8 + len(body)
    head = struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON")
    return head + text + struct.pack("<I4s", len(body), b"BIN\0") + body


def png(pixels):
    """Return a PNG file of uint8 colours."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels, np.uint8))

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def hdr(pixels):
    """Return a Radiance file of linear colours, top row first."""
    height, width, _ = pixels.shape
    exponent = np.ceil(np.log2(np.maximum(pixels.max(-1), 1e-6))).astype(int)
    mantissa = np.clip(pixels / 2.0 ** exponent[..., None] * 256, 0, 255)
    rgbe = np.concatenate([mantissa, exponent[..., None] + 128], axis=-1).astype(np.uint8)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    return head + rgbe.tobytes()


def files(folder):
    """Write a red box, a blue sky over green ground and a tile of two greys; return hashes."""
    sky = np.full((32, 64, 3), (0.2, 0.4, 1.6))
    sky[16:] = (0.1, 0.5, 0.1)
    tile = np.full((64, 64, 3), 90)
    tile[:32, :32] = tile[32:, 32:] = 200
    made = {"box.glb": glb(), "sky.hdr": hdr(sky), "tiles.png": png(tile)}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
