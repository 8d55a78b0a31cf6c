"""Procedural patients scanned twice: the embedded data set ``"phantom"``.

A subject is an anatomy drawn from a seed; its scans are made by the physics of each modality, as a recipe says
(:mod:`regenv.synthesis.recipes`). Splits are disjoint subjects. A case shows one subject in a physical frame and crops
of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from regenv.core.lanes import get_num_threads
from regenv.data.cache import MemoryCache, cached, digest, is_cached, progress
from regenv.data.frames import case_generator, with_random_frame
from regenv.data.packing import bytes_held, pack, unpack
from regenv.data.pair import ImagePair
from regenv.errors import check_option
from regenv.synthesis.recipe import get_recipe

SUBJECTS = {"train": 24, "validation": 8, "test": 40}
CASES = {"train": 48, "validation": 16, "test": 200}
FIRST_SEED = {"train": 0, "validation": 10_000, "test": 20_000}


class PhantomDataset:
    """Procedural pairs of one recipe.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        modalities: Of the fixed and of the moving image, from those of the recipe.
        field_of_view: One of the recipe's; default its first.
        recipe: Name of a file of :mod:`regenv.synthesis.recipes`.

    Attributes:
        generator: Name and version of what makes the images, such as ``"phantom 8, cbct 3"``.

    Raises:
        OptionError: On an unknown option.
    """

    name = "phantom"

    def __init__(
        self,
        split: str = "train",
        modalities: Sequence[str] = ("cbct", "ct"),
        field_of_view: str | None = None,
        recipe: str = "torso",
    ) -> None:
        check_option("split", split, tuple(SUBJECTS))
        self.recipe = get_recipe(recipe)
        field_of_view = field_of_view or self.recipe.fields_of_view[0]
        check_option("field_of_view", field_of_view, self.recipe.fields_of_view)
        for modality in modalities:
            check_option(f"modality of recipe {recipe}", modality, self.recipe.modalities)
        self.split = split
        self.ndim = self.recipe.ndim
        self.modalities = (str(modalities[0]), str(modalities[1]))
        self.field_of_view = field_of_view
        self._family = "phantom" if recipe == "torso" else f"phantom-{recipe}"
        self.generator = ", ".join([f"{self._family.replace('-', ' ', 1)} {self.recipe.version}", *self._physics()])
        n = SUBJECTS[split]
        cases = range(CASES[split])
        self.ids = tuple(f"{self._family}-{field_of_view}-{split}-{i:04d}" for i in cases)
        self.subjects = tuple(f"{self._family}-{split}-{i % n:02d}" for i in cases)
        self._held: MemoryCache[ImagePair] = MemoryCache(256 * 2**20)

    def load(self, index: int) -> ImagePair:
        """Case ``index``: subject ``index % n``, in a frame and with crops that ``split`` and ``index`` decide."""
        if not 0 <= index < len(self.ids):
            raise IndexError(f"pair {index} of {len(self.ids)} in {self.name} ({self.split})")
        number = index % SUBJECTS[self.split]
        whole = self._held.get(number, lambda: unpack(self._kept(number)), bytes_held)
        rng = case_generator(self._family, self.field_of_view, self.split, index)
        moved = with_random_frame(whole, rng, max_crop=(self.recipe.crop_fixed, self.recipe.crop_moving))
        return replace(moved, id=self.ids[index], subject=self.subjects[index])

    def prepare(self) -> None:
        """Makes the subjects that the cache has not got yet, with a progress bar, so that no reset has to.

        The test split has many subjects of which a run may want a few: they are made when they are asked for, as all
        are where the environment variable REGENV_PREPARE is 0.
        """
        if self.split == "test" or os.environ.get("REGENV_PREPARE") == "0":
            return
        missing = [n for n in range(SUBJECTS[self.split]) if not is_cached(self._key(n))]
        if not missing:
            return
        what = f"making {len(missing)} {self.field_of_view} phantoms ({self.split}), once"
        with progress(what, len(missing)) as advance, ThreadPoolExecutor(get_num_threads()) as pool:
            for _ in pool.map(self._kept, missing):
                advance()

    def _kept(self, number: int) -> dict[str, NDArray[Any]]:
        """A subject's arrays, from the cache or made."""
        seed = FIRST_SEED[self.split] + number
        return cached(
            self._key(number),
            lambda: pack(self.recipe.make(seed, self.modalities, self.field_of_view)),
            what=f"{self._family} {self.field_of_view} {self.split} {number}",
        )

    def _key(self, number: int) -> str:
        return digest(
            self._family,
            self.recipe.version,
            physics=self._physics(),
            seed=FIRST_SEED[self.split] + number,
            modalities=self.modalities,
            field_of_view=self.field_of_view,
        )

    def _physics(self) -> list[str]:
        """Names and versions of the modalities that have one of their own."""
        versions = []
        for modality in dict.fromkeys(self.modalities):
            if importlib.util.find_spec(f"regenv.synthesis.physics.{modality}") is not None:
                module = importlib.import_module(f"regenv.synthesis.physics.{modality}")
                versions += [f"{modality} {module.VERSION}"] if hasattr(module, "VERSION") else []
        return versions
