"""Measurements of closed surfaces, shared by the tests of shapes."""

from collections import Counter
from itertools import pairwise

import numpy as np


def volume(vertices, faces):
    """Return the signed volume; positive when faces look outwards."""
    fans = [(face[0], a, b) for face in faces for a, b in pairwise(face[1:])]
    first, second, third = (vertices[list(corner)] for corner in zip(*fans, strict=True))
    return float((first * np.cross(second, third)).sum() / 6)


def is_closed(faces):
    """Tell whether each edge joins two faces that run through it in opposite directions."""
    edges = Counter((a, b) for face in faces for a, b in pairwise((*face, face[0])))
    return all(count == 1 for count in edges.values()) and all((b, a) in edges for a, b in edges)


def euler(vertices, faces):
    """Return vertices - edges + faces: 2 for a ball, 0 for a ring."""
    edges = {frozenset(pair) for face in faces for pair in pairwise((*face, face[0]))}
    return len(vertices) - len(edges) + len(faces)


def bodies(faces, count):
    """Return the faces of each connected part of a surface of `count` vertices."""
    owner = np.arange(count)

    def root(i):
        while owner[i] != i:
            owner[i] = owner[owner[i]]
            i = owner[i]
        return i

    for face in faces:
        for a in face[1:]:
            owner[root(a)] = root(face[0])
    parts = {}
    for face in faces:
        parts.setdefault(root(face[0]), []).append(face)
    return list(parts.values())
