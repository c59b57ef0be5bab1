from .checker import run_checks as run_checks

__all__ = [
    "run_checks",
]
