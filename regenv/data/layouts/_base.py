"""What a layout is, and the data set that it makes: cases of a split, random frames, errors for what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from regenv.data.cache import MemoryCache
from regenv.data.dataset import SPLITS
from regenv.data.frames import MAX_CROP, case_generator, tilt_moving, with_random_frame
from regenv.data.layouts._slices import slice_pair
from regenv.data.packing import bytes_held
from regenv.data.pair import ImagePair
from regenv.errors import DataError, check_option
from regenv.poses import pose_model

COMMON_OPTIONS = {
    "frame": ("random", "file"),
    "test": ("official", "validation", "all"),
}
"""Options of every layout, the default first. ``frame=file`` leaves the physical frames of the files; ``test`` says
which pairs the test split holds: the layout's own, its validation pairs, or all of them."""


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        root: The folder.
        modalities: Of fixed and moving image.
        ndim: 2 or 3.
        options: Value of every option of the layout.
    """

    root: Path
    modalities: tuple[str, str]
    ndim: int
    options: Mapping[str, str]

    def modality(self, side: int, known: Sequence[str]) -> str:
        """The modality asked for on that side (0 fixed, 1 moving) where the layout knows it, else its first."""
        return self.modalities[side] if self.modalities[side] in known else known[0]


@dataclass(frozen=True)
class PairFiles:
    """One pair of a layout, before anything of it is read.

    Attributes:
        id: Unique within the layout.
        subject: Whose images these are (the fixed one's where they show two people).
        split: ``"train"``, ``"validation"`` or ``"test"``.
        files: All files that it reads; if any is missing, the data set is an error.
        load: Reads the pair in the frames of its files; its id and subject are filled in by the data set.
        one_frame: Whether the files lie in one physical frame (one session, or brought together by the provider), so
            that the identity is the alignment given to a deformable environment. Otherwise it is the shift that brings
            the images' centres together.
        slice_at: Share of the slice axis at which the pair is cut to two dimensions.
    """

    id: str
    subject: str
    split: str
    files: tuple[Path, ...]
    load: Callable[[], ImagePair]
    one_frame: bool = True
    slice_at: float | None = None


@dataclass(frozen=True)
class Layout:
    """How one public data set lies on disk; a file of :mod:`regenv.data.layouts` holds one as ``LAYOUT``.

    Attributes:
        name: Name of the file.
        title: The data set's name.
        tree: The expected folder, for messages and pages; ``PATH`` stands for it.
        find: Lists all cases of all splits without opening an image; raises :class:`NotThisLayoutError` where the
            folder is something else.
        ndim: Of the images.
        slices: Shares of the slice axis at which a 2-D environment gets slices of the volumes; empty for none.
        axial: Whether slices are cut across the axis that runs to the head, rather than across the third.
        options: Further options and their values, the default first.
    """

    name: str
    title: str
    tree: str
    find: Callable[[Request], Sequence[PairFiles]]
    ndim: int = 3
    slices: tuple[float, ...] = ()
    axial: bool = False
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class NotThisLayoutError(DataError):
    """The folder is not what the layout expects; the data set adds the expected tree."""


class LayoutDataset:
    """Pairs of a public data set in its official layout: ``dataset="LAYOUT:PATH"``.

    Which files are there is checked when the data set is made; headers and voxels are read when a pair is loaded. What
    is known of the truth depends on the set: landmarks, labels, a transform, or nothing.

    Scans of one session lie in one frame, and headers would give the answer away: each case moves its moving subject by
    a random rigid motion, by the header alone, and turns the moving grid by up to 10 degrees (``?frame=file`` leaves
    the files' frames). Deformable environments are given the alignment and are not turned or cropped.

    Args:
        layout: The layout.
        name: ``"LAYOUT:PATH?option=value&..."``.
        split: Which cases serve.
        modalities: Of fixed and moving image.
        model: Transform model of the environment.
        ndim: 2 or 3.

    Attributes:
        name: As given.
        split: As given.
        ndim: As given.
        ids: One per case.
        subjects: One per case.

    Raises:
        DataError: If the folder is not of that layout or files are missing.
        OptionError: If an option is unknown.
    """

    def __init__(
        self,
        layout: Layout,
        name: str,
        *,
        split: str = "train",
        modalities: Sequence[str] = ("cbct", "ct"),
        model: str = "rigid",
        ndim: int = 3,
    ) -> None:
        path, options = parse_options(layout, name)
        self.name = name
        self.split = split
        self.ndim = ndim
        self.layout = layout.name
        self._deformable = pose_model(model).takes_alignment
        self._axial = layout.axial
        self._random = options["frame"] == "random"
        root = Path(path).expanduser().absolute()
        _check_dimension(layout, ndim)
        found = _find(layout, Request(root, (modalities[0], modalities[1]), ndim, options))
        found = [replace(case, split=_split_of(case.split, options["test"])) for case in found]
        cases = [case for case in found if case.split == split]
        if not cases:
            raise DataError(_no_cases(layout, root, split, found, modalities))
        _check_files(layout, root, cases)
        if ndim < layout.ndim:
            cases = [
                replace(c, id=f"{c.id}-slice{share:.0%}", slice_at=share) for c in cases for share in layout.slices
            ]
        self._cases = tuple(cases)
        self.ids = tuple(case.id for case in cases)
        self.subjects = tuple(case.subject for case in cases)
        self._memory: MemoryCache[ImagePair] = MemoryCache()

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int) -> ImagePair:
        """Pair ``index`` with its truth.

        Args:
            index: From 0 to ``len(ids) - 1``.

        Returns:
            The pair; its arrays must not be written to.

        Raises:
            DataError: If a file cannot be used; the message names it and the mend.
        """
        return self._memory.get(index, lambda: self._load(self._cases[index]), bytes_held)

    def _load(self, case: PairFiles) -> ImagePair:
        try:
            pair = case.load()
            if case.slice_at is not None:
                pair = slice_pair(pair, case.slice_at, axial=self._axial)
        except DataError as error:
            raise DataError(f"{self.layout} case {case.id}: {error}") from error
        pair = replace(pair, id=case.id, subject=case.subject)
        if pair.alignment is None:
            pair = replace(pair, alignment=_alignment(pair, case.one_frame))
        if not self._random:
            return pair
        rng = case_generator(self.layout, case.id)
        if not self._deformable:
            pair = tilt_moving(pair, rng)
        # Where a transform is not the truth, a crop would cut landmarks or structures off.
        known = pair.truth is not None and pair.truth.transform is not None
        crop = MAX_CROP if known and not self._deformable else 0.0
        return with_random_frame(pair, rng, max_crop=crop)


def split_by_subject(layout: str, subject: str) -> str:
    """The split of a subject where the provider names none: 70 % train, 10 % validation, 20 % test.

    By a hash of layout and subject, so that it does not change with what else is on disk.
    """
    draw = int.from_bytes(hashlib.sha256(f"{layout}/{subject}".encode()).digest()[:4], "big") % 10
    return "train" if draw < 7 else "validation" if draw == 7 else "test"


def ring(subjects: Sequence[str], hops: int = 1) -> list[tuple[str, str]]:
    """Pairs between subjects: each as fixed with the next ``hops`` as moving, in order and around the end."""
    ordered = sorted(subjects)
    n = len(ordered)
    return [(ordered[i], ordered[(i + hop) % n]) for i in range(n) for hop in range(1, min(hops, n - 1) + 1)]


def parse_options(layout: Layout, name: str) -> tuple[str, dict[str, str]]:
    """The path in ``"LAYOUT:PATH?option=value&..."`` and the value of every option of the layout."""
    rest = name.partition(":")[2]
    path, mark, query = rest.rpartition("?")
    if not mark or "=" not in query:
        path, query = rest, ""
    if not path:
        raise DataError(f"{name!r} has no path; write {layout.name}:PATH, where PATH is the folder of {layout.title}")
    known = {**COMMON_OPTIONS, **layout.options}
    options = {option: values[0] for option, values in known.items()}
    for part in filter(None, query.split("&")):
        option, _, value = part.partition("=")
        check_option(f"option of {layout.name}", option, known)
        check_option(option, value, known[option])
        options[option] = value
    return path, options


def expected(layout: Layout, root: Path) -> str:
    """The expected tree, for messages."""
    return f"the layout of {layout.title} is\n{layout.tree.replace('PATH', str(root), 1)}"


def _check_dimension(layout: Layout, ndim: int) -> None:
    if ndim > layout.ndim:
        raise DataError(
            f"{layout.title} holds {layout.ndim}-D images and this environment registers {ndim}-D ones; use an id that "
            f"ends in {layout.ndim}D"
        )
    if ndim < layout.ndim and not layout.slices:
        raise DataError(
            f"{layout.title} holds volumes whose slices do not correspond, and this environment registers {ndim}-D "
            "images; use a 3-D environment"
        )


def _find(layout: Layout, request: Request) -> list[PairFiles]:
    if not request.root.is_dir():
        hint = " (options are written ?name=value&name=value)" if "?" in request.root.name else ""
        raise DataError(f"{request.root} is not a folder{hint}; {expected(layout, request.root)}")
    try:
        found = list(layout.find(request))
    except NotThisLayoutError as error:
        raise DataError(f"{request.root} {error}; {expected(layout, request.root)}") from error
    ids = [case.id for case in found]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise DataError(f"{request.root} has case {twice} twice; leave one copy of it")
    return found


def _split_of(own: str, test: str) -> str:
    if test == "all" or (test == "validation" and own == "validation"):
        return "test"
    return "unused" if test == "validation" and own == "test" else own


def _check_files(layout: Layout, root: Path, cases: Sequence[PairFiles]) -> None:
    """Raises where files are missing: the first ones, and how many."""
    files = dict.fromkeys(path for case in cases for path in case.files)
    missing = [path for path in files if not path.exists()]
    if not missing:
        return
    shown = "\n".join(f"  {_relative(path, root)}" for path in missing[:5])
    more = f"\n  and {len(missing) - 5} more" if len(missing) > 5 else ""
    raise DataError(
        f"{root} lacks {len(missing)} of {len(files)} files of {layout.title}:\n{shown}{more}\n"
        f"copy or unpack them; {expected(layout, root)}"
    )


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _no_cases(layout: Layout, root: Path, split: str, found: Sequence[PairFiles], kinds: Sequence[str]) -> str:
    counts = {name: sum(case.split == name for case in found) for name in SPLITS}
    has = ", ".join(f"{name}: {n}" for name, n in counts.items() if n)
    if not has:
        return (
            f"{root} holds no pair of images, {kinds[0]} and {kinds[1]} (between subjects, of two in one split); "
            f"{expected(layout, root)}"
        )
    return (
        f"{root} has no pair of split {split!r} (it has {has}); make the environment with another split, or write "
        f"{layout.name}:{root}?test=all to have all pairs in the test split"
    )


def _alignment(pair: ImagePair, one_frame: bool) -> np.ndarray:
    """What a deformable environment is given: the transform, the files' common frame, or a shift of the centres."""
    d = pair.ndim
    if pair.truth is not None and pair.truth.transform is not None:
        return pair.truth.transform
    alignment = np.eye(d + 1)
    if not one_frame:
        alignment[:d, d] = pair.moving.grid.centre - pair.fixed.grid.centre
    return alignment
