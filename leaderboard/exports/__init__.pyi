from .figures import rows as rows
from .figures import training as training
from .tables import decoder_table as decoder_table
from .tables import latex_table as latex_table
from .tables import markdown_table as markdown_table
from .tables import write_export as write_export

__all__ = [
    "decoder_table",
    "latex_table",
    "markdown_table",
    "rows",
    "training",
    "write_export",
]
