from .plan import Plan as Plan
from .planner import make_plan as make_plan
