from .cluster import cluster_engine as cluster_engine
from .render import Part as Part
from .render import local_engine as local_engine
from .render import render_dataset as render_dataset
from .render import render_part as render_part
from .rerender import Comparison as Comparison
from .rerender import compare as compare
