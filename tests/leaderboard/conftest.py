"""Make the result factory of the benchmark's tests importable."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "benchmark"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
