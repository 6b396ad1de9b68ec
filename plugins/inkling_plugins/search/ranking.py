"""What decides the order of what is found: the meaning, unless the question names a thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNREAD = 0.05
"""What the best lexical match counts among chunks that have no vector (yet): less than what means the same."""
_NAMED = 2.0
"""More than cosines can differ: what the question names comes first."""


def rank(lexical: NDArray[np.float32], similar: NDArray[np.float32], named: Sequence[int] = ()) -> NDArray[np.float32]:
    """[slots]: cosines; words count only for what has no vector, and where the question names a chunk exactly.

    A small lexical share for everything was tried: it helped the questions that it was tuned on and cost the others.
    """
    import numpy as np

    best = float(lexical.max(initial=0.0))
    scores = np.where(similar == 0, (_UNREAD / best) * lexical, similar) if best > 0 else similar.copy()
    scores[list(named)] += _NAMED
    return scores
