"""How the two searches are mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEXICAL_WEIGHT = 0.05
"""What the best lexical match adds to a cosine, as tuned on the development queries."""


def fuse(lexical: NDArray[np.float32], similar: NDArray[np.float32]) -> NDArray[np.float32]:
    """[slots]: cosines, and on top each lexical score as a share of the best one.

    Scores are mixed rather than ranks: by ranks, a lexical search that has found nothing to the point still has a
    first, and puts it before what means the same in other words.
    """
    best = float(lexical.max(initial=0.0))
    return similar + (LEXICAL_WEIGHT / best) * lexical if best > 0 else similar
