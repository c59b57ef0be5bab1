"""Meshes of the procedural shapes."""
