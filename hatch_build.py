"""The description on the package's page: the README, whose relative links would lead nowhere there.

Where ``[project.urls]`` names a ``Source``, links and pictures lead into it; without one, links are
left as their texts, and pictures are left out.
"""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

# What is in brackets is a picture if there is a ! before it; code has no links in this README.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(((?!https:|#)[^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Gives the package the README as its description."""

    def update(self, metadata: dict) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": described(text, source)}


def described(text: str, source: str | None = None) -> str:
    """Return the README with links for a page elsewhere."""

    def replaced(found: re.Match[str]) -> str:
        is_picture, words, path = found[1], found[2], found[3]
        if source is not None:
            kind = "raw" if is_picture else "blob"
            return f"{is_picture}[{words}]({source}/{kind}/main/{path})"
        return "" if is_picture else words

    return _LINK.sub(replaced, text)
