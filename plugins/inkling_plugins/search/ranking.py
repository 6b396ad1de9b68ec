"""What decides the order of what is found: the meaning, a share of the words, and whether the question names a thing.

The shares were chosen on questions to the standard library other than those that judge them (models/data/search.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORDS = 0.1
"""What the best lexical match counts beside cosines."""
_UNREAD = 0.05
"""The same among chunks that have no vector (yet): less than what means the same."""
_METHOD = 0.09
"""What a method stands back: what one looks for is more often a function or a class, and methods are many."""
_NAMED = 2.0
"""More than cosines can differ: what the question names comes first."""


def rank(
    lexical: NDArray[np.float32],
    similar: NDArray[np.float32],
    methods: NDArray[np.uint8],
    named: Sequence[int] = (),
) -> NDArray[np.float32]:
    """[slots]: what each chunk scores, from its BM25, its cosine (0 without a vector) and whether it is a method."""
    import numpy as np

    words = lexical / max(float(lexical.max(initial=0.0)), 1e-6)
    scores = np.where(similar == 0, _UNREAD * words, similar + _WORDS * words - _METHOD * methods)
    scores[list(named)] += _NAMED
    return scores
