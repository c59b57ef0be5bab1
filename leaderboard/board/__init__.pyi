from .board import rank_board as rank_board
from .entries import load_boards as load_boards

__all__ = [
    "load_boards",
    "rank_board",
]
