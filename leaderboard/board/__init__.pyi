from .board import rank_board as rank_board
from .entries import load_boards as load_boards
