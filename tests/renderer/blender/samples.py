"""Scenes that several tests draw."""

from recombine.renderer.scenes.scene import ObjectSpec, RenderSettings, Scene

QUICK = RenderSettings(resolution=32, samples=2, denoise=False)


def thing(shape="sphere", material="rubber", x=0.0, y=0.0, yaw=0.0, scale=0.8, hue=1.0):
    """Return an object with everything that a test does not care about filled in."""
    return ObjectSpec(shape, material, x, y, yaw, scale, hue)


def scene(*objects, environment="studio", seed=5, azimuth=0.0):
    """Return a scene of these objects."""
    return Scene(tuple(objects), environment, seed, sun_azimuth=azimuth)
