"""Images in and out: what is good is read exactly, and whatever is doubtful is refused with a word on the mend."""

from __future__ import annotations

import gzip
import locale
import re
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.image_io import check_same_grid, read_header, read_image, read_labels, write_image
from regenv.errors import DataError
from tests.data import files

FORMATS = ["a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.hdr"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compress", [False, True])
def test_formats_are_read_as_simpleitk_reads_them(tmp_path: Path, name: str, compress: bool) -> None:
    source = files.image(direction=files.oblique())
    path = files.write(tmp_path / name, source, compress)
    read = read_image(path, "ct", ndim=3)
    np.testing.assert_array_equal(read.array, sitk.GetArrayFromImage(source).astype(np.float32))
    np.testing.assert_allclose(read.grid.spacing, source.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(read.grid.origin, source.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(read.grid.direction.ravel(), source.GetDirection(), atol=1e-6)
    assert (read.modality, read.background) == ("ct", -1000.0)
    assert read_header(path).grid.size == files.SIZE


@pytest.mark.parametrize(("modality", "background"), [("cbct", -1000.0), ("t1", 0.0)])
def test_background_by_modality(tmp_path: Path, modality: str, background: float) -> None:
    assert read_image(files.write(tmp_path / "a.mha", files.image()), modality).background == background


def test_a_ct_that_is_not_in_hu_is_warned_about(tmp_path: Path) -> None:
    source = sitk.Abs(files.image())
    with pytest.warns(UserWarning, match="a.mha is given as ct but has no value below 0, so it is not in HU"):
        read_image(files.write(tmp_path / "a.mha", source), "ct")


def test_two_dimensional_images(tmp_path: Path) -> None:
    read = read_image(files.write(tmp_path / "a.mha", files.image((20, 16))), ndim=2)
    assert read.grid.size == (20, 16)


def test_a_volume_stored_as_one_of_a_series_is_read(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.mha", sitk.JoinSeries([files.image()]))
    assert read_image(path, ndim=3).grid.size == files.SIZE


# Truncated and damaged files. SimpleITK reads some of these without a word.


def voxel_file(path: Path) -> Path:
    """The file that holds the voxels of an image written by SimpleITK."""
    return next(
        (
            p
            for s in (".raw", ".zraw", ".raw.gz", ".img")
            if (p := path.with_name(path.name.split(".")[0] + s)).is_file()
        ),
        path,
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("share", [0.97, 0.5, 0.02])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, compress: bool, share: float) -> None:
    path = files.write(tmp_path / name, files.image(), compress)
    voxels = voxel_file(path)
    whole = voxels.read_bytes()
    voxels.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"truncated or damaged|cannot be read") as raised:
        read_image(path)
    assert name.split(".")[0] in str(raised.value)


def test_simpleitk_itself_reads_a_truncated_nifti(tmp_path: Path) -> None:
    """Why the bytes are counted: the reader says nothing. Where this fails, ITK has been mended."""
    path = files.write(tmp_path / "a.nii.gz", files.image())
    path.write_bytes(path.read_bytes()[:-2000])
    assert sitk.ReadImage(str(path)).GetSize() == files.SIZE


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd"])
def test_damaged_compressed_voxels_are_refused(tmp_path: Path, name: str) -> None:
    path = files.write(tmp_path / name, files.image(), compress=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"{name} (is truncated or damaged|cannot be read)"):
        read_image(path)


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=re.escape(name)):
        read_image(tmp_path / name)


def test_a_missing_voxel_file_is_named(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.mhd", files.image())
    (tmp_path / "a.raw").unlink()
    with pytest.raises(DataError, match=r"a\.mhd names its voxels' file a\.raw, which is missing"):
        read_image(path)
    path.write_text(path.read_text().replace("ElementDataFile = a.raw", "ElementDataFile ="))
    with pytest.raises(DataError, match=r"a\.mhd is truncated or damaged \(its header lacks ElementDataFile\)"):
        read_image(path)


# Missing geometry.


def patched_nifti(path: Path, *patches: tuple[int, bytes]) -> Path:
    """A NIfTI-1 file with bytes of its header replaced."""
    files.write(path, files.image())
    data = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    for offset, value in patches:
        data[offset : offset + len(value)] = value
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return path


def without_lines(path: Path, *begins: str) -> Path:
    """A text header without some of its lines."""
    files.write(path, files.image())
    kept = [line for line in path.read_text().splitlines() if not line.startswith(begins)]
    path.write_text("\n".join(kept) + "\n")
    return path


BAD_GEOMETRY: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nifti without sform and qform": (
        lambda p: patched_nifti(p / "a.nii.gz", (252, struct.pack("<hh", 0, 0))),
        r"a\.nii\.gz has no geometry \(its sform and qform codes are 0\); write it again with its geometry",
    ),
    "nifti with a spacing of 0": (
        lambda p: patched_nifti(p / "a.nii", (80, struct.pack("<f", 0.0))),
        r"a\.nii has a spacing of \(0, 2, 3\) mm, which must be positive",
    ),
    "nifti with a spacing that is NaN": (
        lambda p: patched_nifti(p / "a.nii", (84, struct.pack("<f", float("nan")))),
        r"spacing of \(1\.5, nan, 3\) mm",
    ),
    "metaimage without spacing": (
        lambda p: without_lines(p / "a.mhd", "ElementSpacing"),
        r"a\.mhd has no geometry \(no ElementSpacing in its header\)",
    ),
    "nrrd without directions": (
        lambda p: without_lines(p / "a.nhdr", "space", "kinds"),
        r"a\.nhdr has no geometry \(neither 'space directions' nor 'spacings'\)",
    ),
}


@pytest.mark.parametrize("name", BAD_GEOMETRY)
def test_missing_geometry_is_refused(tmp_path: Path, name: str) -> None:
    make, message = BAD_GEOMETRY[name]
    with pytest.raises(DataError, match=message):
        read_header(make(tmp_path))


def test_a_metaimage_with_a_spacing_of_zero(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.mhd", files.image())
    path.write_text(re.sub(r"ElementSpacing = .*", "ElementSpacing = 1.5 0 3", path.read_text()))
    with pytest.raises(DataError, match=r"a\.mhd has a spacing of \(1\.5, 0, 3\) mm"):
        read_header(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_pictures_have_no_geometry(tmp_path: Path, name: str) -> None:
    picture = sitk.Cast(sitk.Abs(files.image((40, 40), kind=np.float32)), sitk.sitkUInt8)
    with pytest.raises(DataError, match=rf"{name} has no geometry: .* convert it to \.mha"):
        read_image(files.write(tmp_path / name, picture), ndim=2)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"notes\.txt is not an image file that can be read; give \.nii"):
        read_image(tmp_path / "notes.txt")
    with pytest.raises(DataError, match=r"nowhere\.nii does not exist"):
        read_image(tmp_path / "nowhere.nii")


def test_a_file_of_another_format_than_its_name(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.mha", files.image())
    for name in ("b.nii", "b.nrrd"):
        path = path.rename(tmp_path / name)
        with pytest.raises(DataError, match=rf"{re.escape(name)} is not an? (NIfTI|NRRD) file"):
            read_image(path)


# Voxels and dimensions.


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_not_finite_are_counted(tmp_path: Path, value: float) -> None:
    source = files.image(kind=np.float32)
    source[3, 4, 5] = value
    source[3, 4, 6] = value
    with pytest.raises(DataError, match=r"a\.mha has 2 voxels that are NaN or infinite; replace them"):
        read_image(files.write(tmp_path / "a.mha", source))


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    source = files.image() * 0 + 7
    with pytest.raises(DataError, match=r"a\.mha is 7 everywhere"):
        read_image(files.write(tmp_path / "a.mha", source))


@pytest.mark.parametrize(
    ("size", "ndim", "message"),
    [
        ((20, 16), 3, r"is a 2-D image \(20 x 16\) and this environment registers 3-D ones; give a volume"),
        (
            (20, 16, 12),
            2,
            r"is a 3-D image \(20 x 16 x 12\) and this environment registers 2-D ones; extract",
        ),
        ((20, 16, 1), 3, r"has 20 x 16 x 1 voxels: a single slice"),
    ],
)
def test_wrong_dimension(tmp_path: Path, size: tuple[int, ...], ndim: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_image(files.write(tmp_path / "a.nii.gz", files.image(size)), ndim=ndim)


def test_four_dimensions_and_colours(tmp_path: Path) -> None:
    series = sitk.JoinSeries([files.image(seed=k) for k in range(3)])
    with pytest.raises(DataError, match=r"20 x 16 x 12 x 3 voxels: 4 dimensions; extract one volume first"):
        read_header(files.write(tmp_path / "a.nii.gz", series))
    colours = sitk.Compose([files.image(seed=k) for k in range(3)])
    with pytest.raises(DataError, match=r"has 3 values a voxel \(a colour or vector image\)"):
        read_header(files.write(tmp_path / "b.nii.gz", colours))


# DICOM.


def test_a_dicom_series_is_read_with_its_geometry(tmp_path: Path) -> None:
    read = read_image(files.write_series(tmp_path / "ct", "1.2.3.1"), "ct", ndim=3)
    assert read.grid.size == (10, 8, 6)
    np.testing.assert_allclose(read.grid.spacing, (1.5, 1.25, 3.0))
    np.testing.assert_allclose(read.grid.origin, (10, 20, 30))
    assert read.array[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_several_series_must_be_chosen_from(tmp_path: Path) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1", description="arterial")
    files.write_series(folder, "1.2.3.2", slices=4, description="venous")
    with pytest.raises(DataError, match="holds 2 DICOM series; name one, such as") as raised:
        read_header(folder)
    assert f"{folder}#1.2.3.2  (CT, venous, 4 files)" in str(raised.value)
    assert read_header(f"{folder}#1.2.3.2").grid.size == (10, 8, 4)
    with pytest.raises(DataError, match="holds no series 9.9"):
        read_header(f"{folder}#9.9")


def test_a_series_with_a_missing_slice_is_refused(tmp_path: Path) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1")
    (folder / "1_03.dcm").unlink()
    with pytest.raises(DataError, match=r"slices 1_02\.dcm and 1_04\.dcm are 6\.00 mm apart where others are 3\.00"):
        read_header(folder)


def test_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1", tilt=0.8)
    with pytest.raises(DataError, match=r"the slices shift sideways by 4\.0 mm from first to last \(a tilted gantry\)"):
        read_header(folder)


def test_sheared_axes_are_refused(tmp_path: Path) -> None:
    path = patched_nifti(tmp_path / "a.nii", (252, struct.pack("<hh", 0, 1)), (284, struct.pack("<f", 1.2)))
    with pytest.raises(DataError, match=r"a\.nii has sheared or mixed axes"):
        read_header(path)


def test_a_truncated_slice_is_refused(tmp_path: Path) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1")
    piece = folder / "1_03.dcm"
    piece.write_bytes(piece.read_bytes()[:-60])
    with pytest.raises(DataError, match=str(folder)):
        read_image(folder)


def test_a_single_slice_of_a_series_is_refused_in_3d(tmp_path: Path) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1")
    with pytest.raises(DataError, match=r"10 x 8 x 1 voxels: a single slice"):
        read_header(folder / "1_03.dcm", ndim=3)


def test_a_single_dicom_picture_is_read_in_2d(tmp_path: Path) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1", slices=1)
    read = read_image(folder / "1_00.dcm", "xray", ndim=2)
    assert read.grid.size == (10, 8)
    np.testing.assert_allclose(read.grid.spacing, (1.5, 1.25))
    assert read_image(folder, ndim=2).grid.size == (10, 8)


@pytest.mark.parametrize(("tag", "word"), [("0020|0032", "position"), ("0020|0037", "orientation")])
def test_a_series_without_geometry_is_refused(tmp_path: Path, tag: str, word: str) -> None:
    folder = files.write_series(tmp_path / "ct", "1.2.3.1")
    strip_tag(folder / "1_02.dcm", tag)
    with pytest.raises(DataError, match=rf"1_02\.dcm (has no geometry \(no {word}\)|differs)"):
        read_header(folder)


def strip_tag(path: Path, tag: str) -> None:
    """Gives one element of an explicit little-endian DICOM file a private tag that no reader knows."""
    group, element = (int(part, 16) for part in tag.split("|"))
    data = path.read_bytes()
    place = data.index(struct.pack("<HH", group, element))
    path.write_bytes(data[:place] + struct.pack("<HH", group, 0x0FFE) + data[place + 4 :])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder without DICOM files"):
        read_header(tmp_path)


# Labels.


def test_labels_must_lie_on_the_images_grid(tmp_path: Path) -> None:
    grid = read_header(files.write(tmp_path / "a.mha", files.image())).grid
    labels = files.image(kind=np.uint8)
    assert read_labels(files.write(tmp_path / "l.nii.gz", labels), grid).dtype == np.int32
    smaller = files.write(tmp_path / "s.mha", labels[:-1])
    with pytest.raises(DataError, match=r"s\.mha has 19 x 16 x 12 voxels and its image 20 x 16 x 12; resample it"):
        read_labels(smaller, grid)
    labels.SetOrigin((5.0, -6.0, 9.0))
    with pytest.raises(DataError, match=r"m\.mha lies up to 2\.00 mm away from its image's grid; resample it"):
        check_same_grid(read_header(files.write(tmp_path / "m.mha", labels)), grid)


def test_labels_must_be_whole_numbers(tmp_path: Path) -> None:
    path = files.write(tmp_path / "a.mha", files.image(kind=np.float32))
    with pytest.raises(DataError, match="holds values that are no integers"):
        read_labels(path, read_header(path).grid)


# Writing.


def an_image() -> Image:
    array = np.random.default_rng(0).normal(size=(12, 16, 20)).astype(np.float32)
    return Image(array, Grid(files.SIZE, files.SPACING, files.ORIGIN, files.oblique()), "ct")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    image = an_image()
    write_image(tmp_path / name, image)
    read = read_image(tmp_path / name)
    np.testing.assert_array_equal(read.array, image.array)
    np.testing.assert_allclose(read.grid.index_to_physical, image.grid.index_to_physical, atol=1e-5)
    labels = (image.array > 0).astype(np.int32)
    write_image(tmp_path / name, image, labels=labels)
    np.testing.assert_array_equal(read_labels(tmp_path / name, image.grid), labels)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_name_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png must end with one of \.nii, \.nii\.gz, \.mha, \.nrrd"):
        write_image(tmp_path / "a.png", an_image())
    with pytest.raises(DataError, match=r"cannot write .*no/a\.mha"):
        write_image(tmp_path / "no" / "a.mha", an_image())


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.nrrd"])
def test_a_full_disk_while_writing_leaves_nothing(tmp_path: Path, name: str) -> None:
    """A file-size limit makes the kernel refuse the write in the middle, as a full disk does."""
    script = f"""
        import resource, signal
        import numpy as np
        from regenv.core.geometry import Grid
        from regenv.core.image import Image
        from regenv.data.image_io import write_image
        array = np.random.default_rng(0).normal(size=(20, 30, 40)).astype(np.float32)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
        try:
            write_image({str(tmp_path / name)!r}, Image(array, Grid.centred((40, 30, 20), (1, 1, 1))))
        except ValueError as error:
            print(type(error).__name__, error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.stdout.startswith(f"DataError cannot write {tmp_path / name}"), done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bad_file_leaves_the_locale_alone(tmp_path: Path) -> None:
    before = locale.setlocale(locale.LC_ALL)
    bad = tmp_path / "bad.vtk"
    bad.write_text("this is no image")
    with pytest.raises(DataError):
        read_image(bad)
    assert locale.setlocale(locale.LC_ALL) == before
