from .export import export_dataset as export_dataset
from .export import write_card as write_card
