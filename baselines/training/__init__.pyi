from .device import device_of as device_of

__all__ = [
    "device_of",
]
