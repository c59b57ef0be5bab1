from . import metrics as metrics
from . import statistics as statistics
