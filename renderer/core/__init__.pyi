from .errors import IntegrityError as IntegrityError
from .errors import InvalidInputError as InvalidInputError
from .errors import RecombineError as RecombineError
from .errors import ResourceError as ResourceError
from .errors import UsageError as UsageError
from .files import locked as locked
from .files import replacing as replacing
from .files import require_space as require_space
from .files import settled as settled
from .files import write_bytes as write_bytes
from .files import write_json as write_json
from .hdf5 import column as column
from .hdf5 import open_checked as open_checked
from .hdf5 import stored as stored
from .provenance import cpu_name as cpu_name
from .types import Array as Array

__all__ = [
    "Array",
    "IntegrityError",
    "InvalidInputError",
    "RecombineError",
    "ResourceError",
    "UsageError",
    "column",
    "cpu_name",
    "locked",
    "open_checked",
    "replacing",
    "require_space",
    "settled",
    "stored",
    "write_bytes",
    "write_json",
]
