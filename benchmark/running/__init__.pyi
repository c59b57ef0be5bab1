from .grid import GridEvent as GridEvent
from .grid import Job as Job
from .grid import run_grid as run_grid
from .harness import DEFAULT_STEPS as DEFAULT_STEPS
from .harness import RunOptions as RunOptions
from .harness import scored_indices as scored_indices
from .tensorboard import TensorBoard as TensorBoard
from .training_curves import Curve as Curve
from .training_curves import Tail as Tail
from .training_curves import logs as logs
from .training_curves import read_curves as read_curves

__all__ = [
    "DEFAULT_STEPS",
    "Curve",
    "GridEvent",
    "Job",
    "RunOptions",
    "Tail",
    "TensorBoard",
    "logs",
    "read_curves",
    "run_grid",
    "scored_indices",
]
