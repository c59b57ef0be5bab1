from __future__ import annotations

import hypothesis

# The machines are shared and noisy: a slow example says nothing about the code.
hypothesis.settings.register_profile("recombine", deadline=None, derandomize=True)
hypothesis.settings.load_profile("recombine")
