from .export import export_dataset as export_dataset
from .export import write_card as write_card
from .facts import Publication as Publication
from .page import gallery as gallery

__all__ = [
    "Publication",
    "export_dataset",
    "gallery",
    "write_card",
]
