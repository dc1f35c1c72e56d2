"""Look at a schedule before you train: exact values, tables, pictures, and what really ran.

Nothing here touches a real optimizer. Plotting libraries are imported when something is drawn.
"""

from pytorch_accelerated.preview.comparison import Comparison, Difference, compare
from pytorch_accelerated.preview.make import preview
from pytorch_accelerated.preview.values import Preview, PreviewRow

__all__ = ["Comparison", "Difference", "Preview", "PreviewRow", "compare", "preview"]
