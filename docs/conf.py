"""Sphinx configuration."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import coming_from  # noqa: E402
import figures  # noqa: E402

figures.gallery(HERE / "_generated")
coming_from.build(HERE / "_generated")

project = "pytorch-accelerated"
author = "The pytorch-accelerated developers"
copyright = "2026, the pytorch-accelerated developers"
release = importlib.metadata.version("pytorch-accelerated")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pytorch-accelerated"
html_static_path = ["_static"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
nitpicky = False
