"""The dial of interaction: which rays may meet an object."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from recombine.renderer.blender.materials.table import material

if TYPE_CHECKING:
    from recombine.renderer.scenes.scene import Interaction

RAYS = ("diffuse", "glossy", "transmission", "volume_scatter", "shadow")
MET_BY: dict[Interaction, tuple[str, ...]] = {
    "isolated": (),
    "shadows": ("diffuse", "shadow"),
    "full": RAYS,
}
"""Kinds of rays, besides the camera's own, that meet objects at each level."""


def set_rays(target: Any, level: Interaction) -> None:
    """Let an object be met by the rays of a level, and by the camera's always.

    Parameters
    ----------
    target : bpy.types.Object
        The object.
    level : {"isolated", "shadows", "full"}
        Level of the dial.
    """
    for kind in RAYS:
        setattr(target, f"visible_{kind}", kind in MET_BY[level])


@cache
def worn(name: str, level: Interaction) -> Any:
    """Return the material that an object wears at a level.

    Light from the sky reaches a surface along shadow rays and along scattered rays alike, so an
    object that stopped only the former would cast half a shadow. At level "shadows" it therefore
    stops diffuse rays too, and is black to them: it takes light away and adds none.

    Parameters
    ----------
    name : str
        Name of the material in the library.
    level : {"isolated", "shadows", "full"}
        Level of the dial.

    Returns
    -------
    bpy.types.Material
        The library's own, or a copy that is black where diffuse rays meet it.
    """
    own = material(name)
    if level != "shadows":
        return own
    made = own.copy()
    made.name = f"{name}, black to diffuse rays"
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface = nodes["Material Output"].inputs["Surface"]
    mix = nodes.new("ShaderNodeMixShader")
    links.new(nodes.new("ShaderNodeLightPath").outputs["Is Diffuse Ray"], mix.inputs["Fac"])
    links.new(surface.links[0].from_socket, mix.inputs[1])  # the second input stays empty: black
    links.new(mix.outputs["Shader"], surface)
    return made
