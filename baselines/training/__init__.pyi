from .device import device_of as device_of
from .device import on_device as on_device
from .loop import Schedule as Schedule
from .loop import endless as endless
from .loop import seeded as seeded
from .loop import train as train

__all__ = [
    "Schedule",
    "device_of",
    "endless",
    "on_device",
    "seeded",
    "train",
]
