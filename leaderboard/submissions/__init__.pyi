from .bundle import Bundle as Bundle
from .bundle import MethodFile as MethodFile
from .bundle import write_bundle as write_bundle
from .changes import EntryChange as EntryChange
from .changes import diff as diff
from .fetching import FetchRules as FetchRules
from .review import new_bundles as new_bundles
from .review import request_text as request_text
from .review import rescore_bundle as rescore_bundle
from .review import review_text as review_text

__all__ = [
    "Bundle",
    "EntryChange",
    "FetchRules",
    "MethodFile",
    "diff",
    "new_bundles",
    "request_text",
    "rescore_bundle",
    "review_text",
    "write_bundle",
]
