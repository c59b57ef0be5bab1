from .tables import latex_table as latex_table
from .tables import markdown_table as markdown_table
from .tables import write_export as write_export
