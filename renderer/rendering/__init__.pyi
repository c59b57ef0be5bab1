from .cluster import cluster_engine as cluster_engine
from .estimate import Estimate as Estimate
from .estimate import Range as Range
from .merge import seal_folder as seal_folder
from .pool import die_with as die_with
from .pool import local_pool as local_pool
from .render import Part as Part
from .render import local_engine as local_engine
from .render import render_dataset as render_dataset
from .render import render_part as render_part
from .render import require_blender as require_blender
from .render import start_worker as start_worker
from .rerender import TOLERANCE_DB as TOLERANCE_DB
from .rerender import Comparison as Comparison
from .rerender import compare as compare

__all__ = [
    "TOLERANCE_DB",
    "Comparison",
    "Estimate",
    "Part",
    "Range",
    "cluster_engine",
    "compare",
    "die_with",
    "local_engine",
    "local_pool",
    "render_dataset",
    "render_part",
    "require_blender",
    "seal_folder",
    "start_worker",
]
