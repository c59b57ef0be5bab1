"""The only room that imports Blender."""
