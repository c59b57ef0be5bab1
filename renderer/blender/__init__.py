"""The Blender side: the only folder that imports bpy and BlenderProc.

Import its modules inside functions only, in a process of their own: Blender's state is global.
"""
