from .base import Preset as Preset
from .table import PRESETS as PRESETS
from .table import load_preset as load_preset
from .table import with_split as with_split
