"""Factors, splits and certificate, down to scenes, pixels and shards.

Only `recombine.renderer.blender` imports Blender, and nothing imports it before a worker
process needs it: planning, verifying and reading need NumPy and h5py alone.
"""
