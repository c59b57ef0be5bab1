from .attack import Verdict as Verdict
from .attack import run_attacks as run_attacks
from .attack_corpus import CORPUS as CORPUS

__all__ = [
    "CORPUS",
    "Verdict",
    "run_attacks",
]
