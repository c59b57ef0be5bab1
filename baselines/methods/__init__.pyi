from .oracle import AllCombinations as AllCombinations

__all__ = [
    "AllCombinations",
]
