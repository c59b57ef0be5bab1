from .records import record_tier as record_tier

__all__ = [
    "record_tier",
]
