from .compare import Comparison as Comparison
from .compare import Contrast as Contrast
from .compare import compare_results as compare_results
from .curves import DataCurve as DataCurve
from .curves import Reach as Reach
from .curves import area as area
from .curves import budget_area as budget_area
from .curves import data_curves as data_curves
from .curves import reach as reach
from .intervals import Components as Components
from .intervals import Estimate as Estimate
from .intervals import crossed_mean as crossed_mean
from .intervals import detectable as detectable
from .intervals import estimate as estimate
from .intervals import gap as gap
from .intervals import holm as holm
from .intervals import paired_difference as paired_difference
from .intervals import smallest_detectable_difference as smallest_detectable_difference
from .intervals import variance_components as variance_components
from .power import power_at as power_at
from .selection import Selection as Selection
from .selection import choice_among as choice_among
from .selection import compare_choices as compare_choices

__all__ = [
    "Comparison",
    "Components",
    "Contrast",
    "DataCurve",
    "Estimate",
    "Reach",
    "Selection",
    "area",
    "budget_area",
    "choice_among",
    "compare_choices",
    "compare_results",
    "crossed_mean",
    "data_curves",
    "detectable",
    "estimate",
    "gap",
    "holm",
    "paired_difference",
    "power_at",
    "reach",
    "smallest_detectable_difference",
    "variance_components",
]
