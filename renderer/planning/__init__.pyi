from .assets import Asset as Asset
from .plan import Plan as Plan
from .planner import image_counts as image_counts
from .planner import make_plan as make_plan

__all__ = [
    "Asset",
    "Plan",
    "image_counts",
    "make_plan",
]
