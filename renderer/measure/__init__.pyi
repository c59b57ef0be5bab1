from .influence import mask_dataset as mask_dataset
from .interaction import measure_dataset as measure_dataset
from .tangents import render_tangents as render_tangents
