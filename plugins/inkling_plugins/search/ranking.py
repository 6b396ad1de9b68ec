"""What decides the order of what is found: meaning, a share of the words, how much is told of a thing, and its name.

The shares were chosen on questions to the standard library other than those that judge them (models/data/search.md).
"""

from __future__ import annotations

import math
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
_TOLD = 0.04
"""What each e-fold of documentation counts: what is much used is explained at length."""
_SHORTEST, _LONGEST = 40, 1200
"""Characters of documentation below and above which length says nothing more."""
_NAMED = 2.0
"""More than cosines can differ: what the question names comes first."""


def prior(kind: str, characters: int) -> float:
    """What speaks for a chunk before any question: how much is told of a definition, and whether it is a method.

    Prose is no better for being long.
    """
    told = _SHORTEST if kind in ("file", "string") else min(max(characters, _SHORTEST), _LONGEST)
    return _TOLD * math.log(told / _SHORTEST) - (_METHOD if kind == "method" else 0.0)


def rank(
    lexical: NDArray[np.float32],
    similar: NDArray[np.float32],
    priors: NDArray[np.float32],
    named: Sequence[int] = (),
) -> NDArray[np.float32]:
    """[slots]: what each chunk scores, from its BM25, its cosine (0 without a vector) and its `prior`.

    The prior orders what has to do with the question: what neither says nor means it scores nothing.
    """
    import numpy as np

    words = lexical / max(float(lexical.max(initial=0.0)), 1e-6)
    asked = similar + _WORDS * words
    scores = np.where(similar == 0, _UNREAD * words, np.where(asked > 0, asked + priors, 0.0))
    scores[list(named)] += _NAMED
    return scores
