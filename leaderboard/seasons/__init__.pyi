from .audit import audit_season as audit_season
from .season import Season as Season
from .season import open_season as open_season
from .season import reveal as reveal
from .season import score_privately as score_privately

__all__ = [
    "Season",
    "audit_season",
    "open_season",
    "reveal",
    "score_privately",
]
