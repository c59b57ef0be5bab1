"""Materials with a pattern that is cut from space, so it needs no seams: stone, paint, cloth."""

from __future__ import annotations

from recombine.renderer.blender.materials.nodes import Tree

CREAM = (0.80, 0.76, 0.68, 1.0)


def leather(tree: Tree) -> None:
    """Cognac leather, quilted in diamonds, with a fine grain; it has no hue."""
    turn, height = tree.scaled(tree.turns(), 7.0), tree.scaled(tree.along(0.0, 0.0, 1.0), 3.6)
    seams = [tree.zigzag(tree.math(step, height, turn)) for step in ("ADD", "SUBTRACT")]
    puff = tree.math("POWER", tree.math("MULTIPLY", *seams), 0.35)
    grain = tree.cells(42.0).outputs["Distance"]
    skin = tree.blend(grain, (0.48, 0.17, 0.045, 1.0), (0.30, 0.095, 0.025, 1.0))
    seam = tree.remap(puff, 0.15, 0.6, 0.85, 0.0)
    tree.surface(Base_Color=tree.blend(seam, skin, (0.045, 0.020, 0.008, 1.0)))
    tree.surface(Roughness=0.38, Specular_IOR_Level=0.55)
    tree.bump(tree.math("SUBTRACT", puff, tree.scaled(grain, 0.05)), 0.05)


def terrazzo(tree: Tree) -> None:
    """Polished terrazzo: chips of ivory, of coal and of rust in cement of the hue."""
    colour = tree.blend(0.6, (0.22, 0.22, 0.22, 1.0), tree.shade(tree.hue, 0.8))
    for scale, size, at in ((6.5, 0.42, 0.0), (11.0, 0.40, 0.35)):
        cells = tree.cells(scale)
        parts = tree.node("ShaderNodeSeparateColor", Color=cells.outputs["Color"])
        kind = tree.math("FRACT", tree.math("ADD", parts.outputs["Red"], at))
        chip = tree.blend(tree.math("GREATER_THAN", kind, 0.62), CREAM, (0.035, 0.035, 0.04, 1.0))
        chip = tree.blend(tree.math("GREATER_THAN", kind, 0.85), chip, (0.42, 0.17, 0.09, 1.0))
        inside = tree.remap(cells.outputs["Distance"], size, size + 0.03, 1.0, 0.0)
        chosen = tree.math("GREATER_THAN", parts.outputs["Green"], 0.3)
        colour = tree.blend(tree.math("MULTIPLY", inside, chosen), colour, chip)
    tree.surface(Base_Color=colour, Roughness=0.22, Coat_Weight=0.3, Coat_Roughness=0.05)


def checker(tree: Tree) -> None:
    """Lacquered squares of the hue and of black."""
    place = tree.node("ShaderNodeMapping", Vector=tree.place, Location=(0.071, 0.069, 0.073))
    boxes = tree.node("ShaderNodeTexChecker", Vector=place.outputs["Vector"], Scale=6.6)
    tree.put(boxes.inputs["Color1"], tree.shade(tree.hue, 1.05))
    tree.put(boxes.inputs["Color2"], (0.012, 0.012, 0.014, 1.0))
    tree.surface(Base_Color=boxes.outputs["Color"], Roughness=0.3, Coat_Weight=0.5)


def stripes(tree: Tree) -> None:
    """Candy: slanting bands of the hue and of white, glossy."""
    wave = tree.zigzag(tree.along(2.0, 1.1, 3.4))
    band = tree.remap(wave, 0.46, 0.54, 0.0, 1.0)
    white = (0.86, 0.86, 0.86, 1.0)
    tree.surface(Base_Color=tree.blend(band, tree.shade(tree.hue, 0.85), white))
    tree.surface(Roughness=0.25, Coat_Weight=1.0, Coat_Roughness=0.04)


def knit(tree: Tree) -> None:
    """Wool with zigzags of three tones of the hue around the body, and stitches."""
    height, turn = tree.along(0.0, 0.0, 1.0), tree.turns()
    zig = tree.scaled(tree.zigzag(tree.scaled(turn, 8.0)), 0.55)
    wave = tree.zigzag(tree.math("ADD", tree.scaled(height, 3.1), zig))
    dark = tree.remap(wave, 0.36, 0.40, 0.0, 1.0)
    light = tree.remap(wave, 0.70, 0.74, 0.0, 1.0)
    colour = tree.blend(dark, tree.shade(tree.hue, 0.16), tree.shade(tree.hue, 0.62))
    colour = tree.blend(light, colour, tree.blend(0.5, tree.hue, CREAM))
    stitch = tree.zigzag(tree.scaled(turn, 56.0))
    rows = tree.zigzag(tree.math("ADD", tree.scaled(height, 22.0), stitch))
    tree.surface(Base_Color=tree.blend(tree.scaled(rows, 0.4), colour, (0.02, 0.02, 0.02, 1.0)))
    tree.surface(Roughness=0.95, Specular_IOR_Level=0.05, Sheen_Weight=0.4)
    tree.bump(rows, -0.02)
