from .bundle import MANIFEST as MANIFEST
from .bundle import Bundle as Bundle
from .bundle import MethodFile as MethodFile
from .bundle import write_bundle as write_bundle
from .changes import diff as diff
from .fetching import FetchRules as FetchRules
from .review import fetched as fetched
from .review import keep as keep
from .review import new_bundles as new_bundles
from .review import request_text as request_text
from .review import rescore as rescore
from .review import rescore_own as rescore_own
from .review import review_text as review_text
from .review import save_rescored as save_rescored

__all__ = [
    "MANIFEST",
    "Bundle",
    "FetchRules",
    "MethodFile",
    "diff",
    "fetched",
    "keep",
    "new_bundles",
    "request_text",
    "rescore",
    "rescore_own",
    "review_text",
    "save_rescored",
    "write_bundle",
]
