from .audit import audit_season as audit_season
from .season import Season as Season
from .season import commit_data as commit_data
from .season import open_season as open_season
from .season import reveal as reveal
from .season import score_privately as score_privately
from .terms import Recipe as Recipe

__all__ = [
    "Recipe",
    "Season",
    "audit_season",
    "commit_data",
    "open_season",
    "reveal",
    "score_privately",
]
