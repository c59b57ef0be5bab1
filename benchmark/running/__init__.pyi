from .grid import GridEvent as GridEvent
from .grid import Job as Job
from .grid import run_grid as run_grid
from .harness import RunOptions as RunOptions
