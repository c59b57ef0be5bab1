"""Blender, BlenderProc and Blender's vector library, loaded in the one order that works.

Importing this module starts the session. Neither package carries types, hence `Any`.
"""

from __future__ import annotations

import importlib
from typing import Any

from recombine.renderer.blender import session

session.start()
bpy: Any = importlib.import_module("bpy")
bproc: Any = importlib.import_module("blenderproc")
mathutils: Any = importlib.import_module("mathutils")
BVHTree: Any = importlib.import_module("mathutils.bvhtree").BVHTree
