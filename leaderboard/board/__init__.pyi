from .board import rank_board as rank_board
from .entries import find_results as find_results
from .entries import load_boards as load_boards
from .entries import load_entry as load_entry

__all__ = [
    "find_results",
    "load_boards",
    "load_entry",
    "rank_board",
]
