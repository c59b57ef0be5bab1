from .cells import CellSet as CellSet
from .cells import report as report
from .declaration import DeclaredSplit as DeclaredSplit
from .declaration import declare as declare
from .declaration import load_split as load_split
from .geometry import GEOMETRIES as GEOMETRIES
from .geometry import SPLITS as SPLITS
from .geometry import Geometry as Geometry
from .geometry import Sizes as Sizes
from .orbit import OrbitSplit as OrbitSplit
from .special import INVERSE as INVERSE
from .special import RELATIONS as RELATIONS
from .special import BandSplit as BandSplit
from .special import BindingSplit as BindingSplit
from .special import CountSplit as CountSplit
from .special import RelationSplit as RelationSplit

__all__ = [
    "GEOMETRIES",
    "INVERSE",
    "RELATIONS",
    "SPLITS",
    "BandSplit",
    "BindingSplit",
    "CellSet",
    "CountSplit",
    "DeclaredSplit",
    "Geometry",
    "OrbitSplit",
    "RelationSplit",
    "Sizes",
    "declare",
    "load_split",
    "report",
]
