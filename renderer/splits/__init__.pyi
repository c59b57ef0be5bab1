from .cells import drawn_total_variation as drawn_total_variation
from .cells import report as report
from .declare import load_split as load_split
from .splits import SPLITS as SPLITS
from .splits_special import INVERSE as INVERSE
from .splits_special import RELATIONS as RELATIONS
from .toml_lines import dump as dump

__all__ = [
    "INVERSE",
    "RELATIONS",
    "SPLITS",
    "drawn_total_variation",
    "dump",
    "load_split",
    "report",
]
