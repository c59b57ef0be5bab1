from .device import device_of as device_of
