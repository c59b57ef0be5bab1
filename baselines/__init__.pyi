from .registry import BASELINES as BASELINES
from .registry import lengthened as lengthened
from .registry import load_baseline as load_baseline
