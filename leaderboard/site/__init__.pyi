from .build import build_site as build_site

__all__ = [
    "build_site",
]
