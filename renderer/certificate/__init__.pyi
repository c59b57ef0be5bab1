from .verify import PROVES as PROVES
from .verify import Certificate as Certificate
