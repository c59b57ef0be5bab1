"""Materials of one substance: ceramic, metals, wood, stone, rubber, cloth."""

from __future__ import annotations

from recombine.renderer.blender.materials.nodes import Tree


def glaze(tree: Tree) -> None:
    """Glazed ceramic: a hue that pools and thins a little, under a clear, smooth coat."""
    pool = tree.noise(scale=2.2, detail=2.0)
    colour = tree.blend(pool, tree.shade(tree.hue, 0.72), tree.shade(tree.hue, 1.12))
    tree.surface(Base_Color=colour, Roughness=0.4, Coat_Weight=1.0, Coat_Roughness=0.05)
    tree.bump(tree.noise(scale=5.0, detail=1.0), 0.012)


def brushed(tree: Tree) -> None:
    """Metal brushed in rings about the vertical, anodised in a pale tint of the hue."""
    tint = tree.blend(0.62, (0.78, 0.78, 0.78, 1.0), tree.hue)
    scratch = tree.noise(scale=1.0, detail=2.0, stretch=(2.0, 2.0, 70.0))
    streak = tree.remap(scratch, 0.3, 0.7, 0.0, 0.35)
    tree.surface(Base_Color=tree.blend(streak, tint, tree.shade(tint, 0.55)), Metallic=1.0)
    tree.surface(Roughness=tree.remap(scratch, 0.3, 0.7, 0.30, 0.44), Anisotropic=0.85)
    round_ = tree.nodes.new("ShaderNodeTangent")
    round_.direction_type, round_.axis = "RADIAL", "Z"
    tree.surface(Tangent=round_.outputs["Tangent"])


def wood(tree: Tree) -> None:
    """Oak turned on a lathe, with growth rings and an oiled finish; it has no hue."""
    bend = tree.noise(scale=1.4, detail=2.0, stretch=(1.0, 1.0, 0.35))
    rings = tree.node("ShaderNodeTexWave", Vector=tree.place, Scale=4.2, Distortion=5.0, Detail=2.0)
    rings.wave_type, rings.rings_direction = "RINGS", "Z"
    fibre = tree.noise(scale=1.0, detail=2.0, stretch=(70.0, 70.0, 5.0))
    tone = tree.blend(rings.outputs["Fac"], (0.12, 0.050, 0.018, 1.0), (0.52, 0.30, 0.14, 1.0))
    tone = tree.blend(tree.remap(bend, 0.3, 0.7, 0.0, 0.5), tone, (0.33, 0.16, 0.06, 1.0))
    tone = tree.blend(tree.remap(fibre, 0.52, 0.75, 0.0, 0.5), tone, (0.13, 0.055, 0.02, 1.0))
    tree.surface(Base_Color=tone, Roughness=0.42, Coat_Weight=0.25, Coat_Roughness=0.2)
    tree.bump(fibre, 0.006)


def marble(tree: Tree) -> None:
    """Polished white marble with grey veins; it has no hue."""
    warp = tree.noise(scale=2.0, detail=4.0, distortion=1.6)
    sharp = tree.ridge(warp, 0.5, 0.035)
    faint = tree.ridge(tree.noise(scale=3.7, detail=3.0, distortion=0.8), 0.47, 0.02)
    stone = tree.blend(warp, (0.66, 0.65, 0.63, 1.0), (0.84, 0.82, 0.79, 1.0))
    stone = tree.blend(tree.scaled(faint, 0.45), stone, (0.40, 0.39, 0.38, 1.0))
    stone = tree.blend(tree.scaled(sharp, 0.8), stone, (0.17, 0.18, 0.20, 1.0))
    tree.surface(Base_Color=stone, Roughness=0.16, Coat_Weight=0.4, Coat_Roughness=0.05)


def rubber(tree: Tree) -> None:
    """Matte rubber in a deep shade of the hue, with a fine grain."""
    grain = tree.noise(scale=60.0, detail=1.0)
    colour = tree.blend(grain, tree.shade(tree.hue, 0.28), tree.shade(tree.hue, 0.44))
    tree.surface(Base_Color=colour, Roughness=0.78, Specular_IOR_Level=0.3)
    tree.bump(grain, 0.004)


def velvet(tree: Tree) -> None:
    """Velvet: deep in the hue seen head on, bright where the pile is seen from the side."""
    crush = tree.remap(tree.noise(scale=4.0, detail=1.0), 0.35, 0.65, 0.0, 1.0)
    colour = tree.blend(crush, tree.shade(tree.hue, 0.12), tree.shade(tree.hue, 0.30))
    pile = tree.remap(tree.facing(0.5), 0.45, 0.95, 0.0, 0.8)
    tree.surface(Base_Color=tree.blend(pile, colour, tree.blend(0.4, tree.hue, (1, 1, 1, 1))))
    tree.surface(Roughness=0.95, Specular_IOR_Level=0.1)
    tree.surface(Sheen_Weight=1.0, Sheen_Roughness=0.35, Sheen_Tint=tree.hue)
    tree.bump(crush, 0.012)


def carpaint(tree: Tree) -> None:
    """Metallic car paint: a deep hue with flakes that darkens towards the rims, clear coated."""
    rich = tree.node("ShaderNodeHueSaturation", Hue=0.5, Saturation=1.5, Value=0.62)
    tree.put(rich.inputs["Color"], tree.hue)
    flake = tree.remap(tree.noise(scale=90.0, detail=0.0), 0.45, 0.75, 0.0, 0.5)
    lit = tree.blend(flake, rich.outputs["Color"], tree.hue)
    rim = tree.remap(tree.facing(0.4), 0.1, 0.75, 0.0, 0.85)
    tree.surface(Base_Color=tree.blend(rim, lit, tree.shade(rich.outputs["Color"], 0.12)))
    tree.surface(Metallic=0.7, Roughness=0.38, Coat_Weight=1.0, Coat_Roughness=0.02)


def glass(tree: Tree) -> None:
    """Clear glass with a tint of the hue; its shadow is light, as caustics would make it."""
    tint = tree.blend(0.6, (0.98, 0.99, 0.99, 1.0), tree.hue)
    tree.surface(Base_Color=tint, Roughness=0.0, IOR=1.4, Transmission_Weight=1.0)
    path = tree.node("ShaderNodeLightPath")
    # Deep in folded bodies refraction would end in black after the last bounce: light goes
    # straight on there.
    deep = tree.math("GREATER_THAN", path.outputs["Transmission Depth"], 3.5)
    through = tree.math("MAXIMUM", path.outputs["Is Shadow Ray"], deep)
    clear = tree.node("ShaderNodeBsdfTransparent", Color=tree.blend(0.12, tint, (0, 0, 0, 1)))
    body = tree.nodes["Principled BSDF"].outputs["BSDF"]
    mixed = tree.nodes.new("ShaderNodeMixShader")
    for socket, value in zip(mixed.inputs, (through, body, clear.outputs["BSDF"]), strict=True):
        tree.put(socket, value)
    tree.put(tree.nodes["Material Output"].inputs["Surface"], mixed.outputs["Shader"])


def gold(tree: Tree) -> None:
    """Hammered, polished gold; it has no hue."""
    tree.surface(Base_Color=(1.0, 0.62, 0.16, 1.0), Metallic=1.0, Roughness=0.19)
    dents = tree.math("POWER", tree.cells(6.0).outputs["Distance"], 2.0)
    tree.bump(dents, 0.018)


def verdigris(tree: Tree) -> None:
    """Old copper under a crust of blue-green patina; it has no hue."""
    spread = tree.noise(scale=3.2, detail=5.0, distortion=0.4)
    crust = tree.remap(spread, 0.46, 0.54, 0.0, 1.0)
    fine = tree.noise(scale=16.0, detail=3.0)
    metal = tree.blend(fine, (0.42, 0.14, 0.06, 1.0), (0.72, 0.30, 0.16, 1.0))
    patina = tree.blend(fine, (0.10, 0.36, 0.31, 1.0), (0.30, 0.66, 0.56, 1.0))
    tree.surface(Base_Color=tree.blend(crust, metal, patina))
    tree.surface(Metallic=tree.remap(crust, 0.0, 1.0, 0.9, 0.0))
    tree.surface(Roughness=tree.remap(crust, 0.0, 1.0, 0.3, 0.85))
    tree.bump(spread, 0.05)


def bark(tree: Tree) -> None:
    """Pine bark: pale plates between deep, upright furrows; it has no hue."""
    rough = tree.noise(scale=1.0, detail=4.0, distortion=0.6, stretch=(10.0, 10.0, 2.2))
    plate = tree.remap(rough, 0.38, 0.5, 0.0, 1.0)
    fine = tree.noise(scale=1.0, detail=3.0, stretch=(26.0, 26.0, 12.0))
    face = tree.blend(fine, (0.19, 0.15, 0.12, 1.0), (0.42, 0.36, 0.30, 1.0))
    tone = tree.blend(plate, (0.030, 0.020, 0.014, 1.0), face)
    moss = tree.remap(tree.noise(scale=2.4, detail=3.0), 0.58, 0.7, 0.0, 0.7)
    tone = tree.blend(tree.math("MULTIPLY", moss, plate), tone, (0.20, 0.27, 0.07, 1.0))
    tree.surface(Base_Color=tone, Roughness=0.92, Specular_IOR_Level=0.15)
    tree.bump(tree.math("ADD", plate, tree.scaled(fine, 0.35)), 0.06)
