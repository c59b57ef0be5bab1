from .errors import IntegrityError as IntegrityError
from .errors import InvalidInputError as InvalidInputError
from .errors import RecombineError as RecombineError
from .errors import ResourceError as ResourceError
from .errors import UsageError as UsageError
from .files import write_bytes as write_bytes
from .types import Array as Array
