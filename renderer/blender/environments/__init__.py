"""Floors, backdrops, skies and lights."""
