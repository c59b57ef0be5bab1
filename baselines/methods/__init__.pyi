from .oracle import AllCombinations as AllCombinations
