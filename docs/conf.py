"""Sphinx: ``make docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from appliance import __version__

project = "appliance"
version = release = __version__
extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
highlight_language = "text"
