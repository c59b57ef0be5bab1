"""A short way to write node trees of materials."""

from __future__ import annotations

import math
from typing import Any

from recombine.renderer.blender.api import bproc


class Tree:
    """A new material's node tree, with the few operations that the recipes need."""

    def __init__(self, name: str, material: Any = None) -> None:
        self.material = material or bproc.material.create(name)
        self.tree = self.material.blender_obj.node_tree
        self.nodes, self.links = self.tree.nodes, self.tree.links
        self.hue = self.node("ShaderNodeObjectInfo").outputs["Color"]
        self.place = self.node("ShaderNodeTexCoord").outputs["Object"]

    def node(self, kind: str, **inputs: Any) -> Any:
        """Add a node and set inputs by name, to values or to sockets."""
        made = self.nodes.new(kind)
        for name, value in inputs.items():
            self.put(made.inputs[name.replace("_", " ")], value)
        return made

    def put(self, socket: Any, value: Any) -> None:
        """Give an input a value, or link it to an output."""
        if hasattr(value, "links"):
            self.links.new(value, socket)
        else:
            socket.default_value = value

    def surface(self, **inputs: Any) -> None:
        """Set the inputs of the material's principled shader, by name."""
        for name, value in inputs.items():
            self.material.set_principled_shader_value(name.replace("_", " "), value)

    def noise(
        self,
        scale: float,
        detail: float,
        distortion: float = 0.0,
        stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Any:
        """Return fractal noise in [0, 1] around 0.5, in the object's own space."""
        place = self.node("ShaderNodeMapping", Vector=self.place, Scale=stretch).outputs["Vector"]
        inputs = {"Scale": scale, "Detail": detail, "Distortion": distortion}
        return self.node("ShaderNodeTexNoise", Vector=place, **inputs).outputs["Fac"]

    def blend(self, share: Any, a: Any, b: Any) -> Any:
        """Return the colour a where the share is 0, b where it is 1."""
        node = self.nodes.new("ShaderNodeMix")
        node.data_type = "RGBA"
        for index, value in ((0, share), (6, a), (7, b)):  # sockets of the colour variant
            self.put(node.inputs[index], value)
        return node.outputs[2]

    def scaled(self, value: Any, factor: float) -> Any:
        """Return a value times a factor."""
        return self.math("MULTIPLY", value, factor)

    def shade(self, colour: Any, factor: float) -> Any:
        """Return a colour times a factor."""
        node = self.nodes.new("ShaderNodeVectorMath")
        node.operation = "SCALE"
        self.put(node.inputs[0], colour)
        node.inputs["Scale"].default_value = factor
        return node.outputs[0]

    def product(self, a: Any, b: Any) -> Any:
        """Return two colours, multiplied channel by channel."""
        node = self.nodes.new("ShaderNodeVectorMath")
        node.operation = "MULTIPLY"
        self.put(node.inputs[0], a)
        self.put(node.inputs[1], b)
        return node.outputs[0]

    def remap(self, value: Any, low: float, high: float, to_low: float, to_high: float) -> Any:
        """Map [low, high] to [to_low, to_high], clamped."""
        node = self.node("ShaderNodeMapRange", Value=value, From_Min=low, From_Max=high)
        node.inputs["To Min"].default_value, node.inputs["To Max"].default_value = to_low, to_high
        return node.outputs["Result"]

    def ridge(self, value: Any, at: float, width: float) -> Any:
        """Return 1 where the value is `at`, falling to 0 at a distance of `width`."""
        off = self.math("ABSOLUTE", self.math("SUBTRACT", value, at))
        return self.remap(off, 0.0, width, 1.0, 0.0)

    def math(self, operation: str, a: Any, b: Any = 0.0) -> Any:
        """Return one step of arithmetic, by Blender's name for it."""
        node = self.nodes.new("ShaderNodeMath")
        node.operation = operation
        self.put(node.inputs[0], a)
        self.put(node.inputs[1], b)
        return node.outputs[0]

    def along(self, x: float, y: float, z: float) -> Any:
        """Return how far a point lies along a direction, in the object's own space."""
        node = self.nodes.new("ShaderNodeVectorMath")
        node.operation = "DOT_PRODUCT"
        self.put(node.inputs[0], self.place)
        node.inputs[1].default_value = (x, y, z)
        return node.outputs["Value"]

    def zigzag(self, value: Any) -> Any:
        """Return a triangle wave of period 1 and range [0, 1]."""
        return self.scaled(self.math("PINGPONG", value, 0.5), 2.0)

    def turns(self) -> Any:
        """Return the angle about the object's vertical axis, in turns from -0.5 to 0.5."""
        angle = self.math("ARCTAN2", self.along(0.0, 1.0, 0.0), self.along(1.0, 0.0, 0.0))
        return self.math("DIVIDE", angle, 2 * math.pi)

    def cells(self, scale: float, feature: str = "F1", **inputs: Any) -> Any:
        """Return a Voronoi node: outputs Distance and, per cell, a random Color."""
        node = self.node("ShaderNodeTexVoronoi", Vector=self.place, Scale=scale, **inputs)
        node.feature = feature
        return node

    def facing(self, blend: float = 0.5) -> Any:
        """Return 0 where the surface is seen head on, 1 where it is seen from the side."""
        return self.node("ShaderNodeLayerWeight", Blend=blend).outputs["Facing"]

    def wear(self, smudge: float, dust: float, edge: float) -> None:
        """Age the principled shader: uneven gloss, dust on what faces up, worn edges.

        Each strength is the largest change: of roughness, of the share of dust and of the share
        of a pale, rubbed colour.
        """
        shader = self.nodes["Principled BSDF"].inputs
        now = {
            name: shader[name].links[0].from_socket if shader[name].links else value
            for name in ("Base Color", "Roughness", "Coat Roughness")
            for value in [self.plain(shader[name].default_value)]
        }
        cloud = self.noise(scale=2.6, detail=2.0)
        patch = self.remap(cloud, 0.35, 0.65, -smudge, smudge)
        for name in ("Roughness", "Coat Roughness"):
            self.put(shader[name], self.math("MAXIMUM", self.math("ADD", now[name], patch), 0.0))
        surface = self.node("ShaderNodeNewGeometry").outputs
        upright = self.node("ShaderNodeSeparateXYZ", Vector=surface["Normal"]).outputs["Z"]
        settled = self.remap(cloud, 0.35, 0.65, 0.1, 1.0)
        layer = self.math("MULTIPLY", self.remap(upright, 0.35, 1.0, 0.0, dust), settled)
        colour = self.blend(layer, now["Base Color"], (0.42, 0.39, 0.35, 1.0))
        sharp = self.remap(surface["Pointiness"], 0.54, 0.68, 0.0, edge)
        rubbed = self.math("MULTIPLY", sharp, self.remap(cloud, 0.4, 0.6, 1.0, 0.2))
        pale = self.blend(0.45, now["Base Color"], (0.62, 0.60, 0.57, 1.0))
        self.put(shader["Base Color"], self.blend(rubbed, colour, pale))

    @staticmethod
    def plain(value: Any) -> Any:
        """Return a socket's value as a number or a tuple."""
        return value if isinstance(value, float) else tuple(value)

    def bump(self, height: Any, metres: float) -> None:
        """Let a height field of this depth tilt the shading normal."""
        node = self.node("ShaderNodeBump", Height=height, Distance=metres)
        self.surface(Normal=node.outputs["Normal"])
