from .card import write_card as write_card
from .facts import Publication as Publication
from .page import gallery as gallery

__all__ = [
    "Publication",
    "gallery",
    "write_card",
]
