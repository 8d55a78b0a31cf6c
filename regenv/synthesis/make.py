"""Many subjects at once, ahead of use, on all processors."""

from __future__ import annotations

import time

from regenv.core.lanes import get_num_threads
from regenv.data.cache import is_writable, progress
from regenv.data.dataset import Dataset, count_of
from regenv.errors import OptionError
from regenv.synthesis.procedural import SUBJECTS, Procedural
from regenv.synthesis.workers import Workers

DEFAULT_SUBJECTS = 32
"""Of a training split, where none are named."""

_LOOK_S = 0.1


def make_subjects(dataset: Dataset, subjects: int | None = None, workers: int | None = None) -> int:
    """Makes subjects for the cache, with a progress bar.

    Args:
        dataset: An embedded one.
        subjects: How many, from the first; default all of a fixed split, else :data:`DEFAULT_SUBJECTS`.
        workers: Processes; default as many as there are processors.

    Returns:
        How many were not there yet.

    Raises:
        OptionError: If the data set is not made, or a number is under 1.
        RuntimeError: If they cannot be made, or not kept.
    """
    if not isinstance(dataset, Procedural):
        raise OptionError(f"{dataset.name} is read, not made; only the embedded data sets are made")
    for name, value in (("subjects", subjects), ("workers", workers)):
        if value is not None and value < 1:
            raise OptionError(f"{name}={value} must be at least 1")
    most = SUBJECTS.get(dataset.split) or count_of(dataset, subjects or DEFAULT_SUBJECTS)
    missing = [n for n in range(min(most, subjects or most)) if not dataset.is_kept(n)]
    if not missing:
        return 0
    if not is_writable():
        raise RuntimeError("the cache cannot be written, so nothing can be made ahead: set REGENV_CACHE")
    crew = Workers(min(workers or get_num_threads(), len(missing)), urgent=True)
    left = set(missing)
    try:
        with progress(f"making subjects of {dataset.name} ({dataset.split})", len(missing)) as advance:
            crew.want(dataset.spec, missing)
            while left:
                for number in [number for number in left if dataset.is_kept(number)]:
                    left.remove(number)
                    advance()
                crew.revive()
                if left and not crew.pids:
                    raise RuntimeError(f"the workers failed; subjects {sorted(left)[:5]} and others are not made")
                time.sleep(_LOOK_S)
    finally:
        crew.close()
    return len(missing)
