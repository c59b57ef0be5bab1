"""The record of checked results."""
