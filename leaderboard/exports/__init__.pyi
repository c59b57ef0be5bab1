from .decoder_table import table as table
from .export import write_export as write_export
from .figures import rows as rows
from .figures import training as training

__all__ = [
    "rows",
    "table",
    "training",
    "write_export",
]
