"""Codes whose relation to the factors is known, as in the table of pitfalls."""

import numpy as np

from recombine.benchmark.metrics.identifiability import Codes

FACTORS = 5


def rotation(rng, size=FACTORS):
    """Draw a rotation from the uniform law."""
    orthogonal, triangular = np.linalg.qr(rng.normal(size=(size, size)))
    return orthogonal * np.sign(np.diag(triangular))


def known_codes(images=4000, seed=0):
    """Return named codes of five factors; uniform and independent but for the last."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(-1, 1, (images, FACTORS))
    shared = rng.normal(size=(images, 1))
    tied = np.sqrt(0.8) * shared + np.sqrt(0.2) * rng.normal(size=(images, FACTORS))
    # Exact copies of one factor would leave it to rounding which of them is chosen.
    copies = tied[:, :1] + 1e-6 * rng.normal(size=(images, FACTORS))
    return {
        "permuted and scaled": Codes(z[:, rng.permutation(FACTORS)] * [1, 2, -3, 0.1, 5], z),
        "saturating": Codes(np.tanh(3 * z), z),
        "absolute value": Codes(np.abs(z), z),
        "rotated": Codes(z @ rotation(rng), z),
        "duplicated": Codes(np.repeat(z, 2, axis=1), z),
        "sine and cosine": Codes(np.concatenate([np.sin(np.pi * z), np.cos(np.pi * z)], 1), z),
        "noise": Codes(rng.normal(size=(images, FACTORS)), z),
        "one of tied factors": Codes(copies, tied),
    }


def halves(data, limit=None):
    """Return the first half for fitting and the second for scoring."""
    cut = len(data.codes) // 2
    fit = slice(None, min(cut, limit or cut))
    return Codes(data.codes[fit], data.factors[fit]), Codes(data.codes[cut:], data.factors[cut:])
