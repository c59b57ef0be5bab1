from .isolation import AnySubmission as AnySubmission
from .isolation import isolate as isolate
from .process import Limits as Limits
