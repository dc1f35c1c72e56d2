"""Sphinx configuration."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import coming_from  # noqa: E402
import drawing  # noqa: E402
import figures  # noqa: E402
import recipes  # noqa: E402
from docutils.nodes import SkipNode  # noqa: E402
from sphinx.util.nodes import make_refnode  # noqa: E402

figures.gallery(HERE / "_generated")
figures.cut_pictures(HERE / "_generated")
coming_from.build(HERE / "_generated")
recipes.build(HERE / "_generated")

project = "pytorch-accelerated"
author = "The pytorch-accelerated developers"
copyright = "2026, the pytorch-accelerated developers"
release = importlib.metadata.version("pytorch-accelerated")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pytorch-accelerated"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_math_renderer = "drawing"  # nothing is loaded from elsewhere

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
default_role = "py:obj"

# Every reference has to lead somewhere, but those to other libraries, whose documentation is not
# at hand, and the names of types in signatures.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(?!pytorch_accelerated\.).*"),
    ("py:class", r".*\.(_\w+|[A-Z])"),
    (
        "py:class",
        r"pytorch_accelerated\.schedules\.(phase\.Shape|track\.Track|terms\.\w+)",
    ),
    ("py:class", r"pytorch_accelerated\.preview\.columns\.Columns"),
    ("py:obj", r"(torch|accelerate|collections|fractions|functools|math)\..*|abs|round"),
]


def find_by_end(app, env, node, contnode):
    """Link a name that is documented in one place, wherever it is mentioned."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    found = domain.find_obj(env, None, None, node["reftarget"], None, searchmode=1)
    places = {(entry.docname, entry.node_id): name for name, entry in found if not entry.aliased}
    if len(places) != 1:
        return None
    (((page, anchor), name),) = places.items()
    return make_refnode(app.builder, node["refdoc"], page, anchor, contnode, name)


def leave_colons(app, what, name, obj, options, lines):
    """Keep napoleon from taking what is before an attribute's first colon for its type."""
    if what in ("attribute", "data", "property") and lines:
        lines[:0] = [".. a comment, which has none", ""]


#: What names of unions stand for, for readers, who do not know them.
UNIONS = {
    "OneOrMore": "Optimizer | Sequence[Optimizer]",
    "Plan": "Schedule | str, a sequence or a mapping of these",
    "Recorded": "Preview | Mapping[str, Sequence]",
    "Loss": "Sequence[float] | Mapping[int, float]",
}


def show_types(app, domain, kind, content):
    """Show what a union is made of, and no type where "Any" would tell a reader nothing."""
    for types in app.env.current_document.autodoc_annotations.values():
        for name, type_ in [*types.items()]:
            types[name] = re.sub(r"\b\w+", lambda word: UNIONS.get(word[0], word[0]), type_)
            if type_.endswith("typing.Any"):
                del types[name]


def hide_private_bases(app, name, obj, options, bases):
    """Leave out the bases that nobody may use."""
    bases[:] = [base for base in bases if not getattr(base, "__name__", "").startswith("_")]


def set_formula(writer, node):
    """Put a formula into the page as a drawing."""
    writer.body.append(drawing.formula(node.astext()))
    raise SkipNode


def set_formula_of_its_own(writer, node):
    """Put a formula on a line of its own."""
    writer.body.append(f'<div class="math">{drawing.formula(node.astext())}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("drawing", (set_formula, None), (set_formula_of_its_own, None))
    app.connect("autodoc-process-docstring", leave_colons, priority=100)
    app.connect("autodoc-process-bases", hide_private_bases)
    app.connect("object-description-transform", show_types, priority=400)  # before autodoc
    app.connect("missing-reference", find_by_end)
