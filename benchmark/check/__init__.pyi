from .checker import run_checks as run_checks
