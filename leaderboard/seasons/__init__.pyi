from .season import Season as Season
