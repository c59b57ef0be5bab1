"""Decoders with known structure, three slots of two latents, one row of pixels."""

import torch

SLOTS, DIM, PIXELS = 3, 2, 10


def weights(*shape, seed=0):
    """Return normal float64 weights."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layers(z, seed=0):
    """Draw every slot on its own: (B, S, 3, 1, PIXELS)."""
    first = weights(z.shape[1], z.shape[2], 8, seed=seed).to(z)
    second = weights(z.shape[1], 8, 3 * PIXELS, seed=seed + 1).to(z)
    hidden = torch.tanh(torch.einsum("bsd,sdh->bsh", z, first))
    drawn = torch.einsum("bsh,shp->bsp", hidden, second)
    return drawn.reshape(len(z), z.shape[1], 3, 1, PIXELS)


def additive(z):
    """Sum of slots: no interaction."""
    return layers(z).sum(dim=1)


def bilinear(z):
    """Sum of slots and products of two slots: interaction of second order."""
    pairs = torch.einsum("bsd,bte->bsdte", z, z)
    mask = 1 - torch.eye(z.shape[1], dtype=z.dtype)
    mixed = (pairs * mask[None, :, None, :, None]).flatten(1)
    drawn = mixed @ weights(mixed.shape[1], 3 * PIXELS, seed=5)
    return additive(z) + drawn.reshape(len(z), 3, 1, PIXELS)


def softmax(z):
    """Blend slots by a softmax of opacities, as slot-attention decoders do."""
    alpha = torch.softmax(layers(z, seed=7)[:, :, :1], dim=1)
    return (alpha * layers(z)).sum(dim=1)


def disjoint(z):
    """Give every slot pixels of its own."""
    parts = layers(z).unbind(dim=1)
    return torch.cat(parts, dim=3)


def points(count=4, slots=SLOTS, dim=DIM):
    """Return latents."""
    return weights(count, slots, dim, seed=11)
