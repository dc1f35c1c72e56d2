"""What the library's callbacks use of a run is what the documentation lists for everybody."""

import ast
import re
from pathlib import Path

import pytorch_accelerated.callbacks as callbacks

FOLDER = Path(callbacks.__file__).parent
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "callbacks.rst"


def attributes_of(owner):
    """Names of attributes that the callbacks use of an expression such as ``trainer.run``."""
    return {
        node.attr
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == owner
    }


def documented():
    table = DOCUMENTATION.read_text().split("of ``trainer.run``")[1].split("\n\n")[0]
    rows = re.findall(r"^   \* - (.*)$", table, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"``(\w+)", row)}


def test_the_callbacks_use_what_is_documented_and_nothing_private():
    assert attributes_of("trainer.run") <= documented()
    assert not {name for name in attributes_of("trainer") if name.startswith("_")}


def test_a_run_has_what_is_documented(make_trainer, train, probe):
    missing = []
    look = probe(
        on_update_end=lambda trainer: missing.append(
            [name for name in documented() if not hasattr(trainer.run, name)]
        )
    )
    train(make_trainer(look))
    assert missing == [[]] * 6
