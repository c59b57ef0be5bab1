"""Shader graphs of the procedural materials."""
