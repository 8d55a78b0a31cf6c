"""``regenv align``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def align(
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="NIfTI, MHA, NRRD, or a folder of DICOM slices.")],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="The image that is brought to the fixed one.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The transform, fixed to moving points, for ITK (.tfm, .txt, .h5).")
    ] = Path("out.tfm"),
    moved: Annotated[Path | None, typer.Option(help="Also write the moving image on the fixed grid.")] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", help="MODULE:FACTORY or policy.onnx; default is the shipped one.")
    ] = None,
    model: Annotated[str, typer.Option(help="rigid or affine.")] = "rigid",
    initial: Annotated[Path | None, typer.Option(help="Transform to start from; default aligns the centres.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs from nearby starts; several tell how far they agree.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the further starts.")] = 0,
) -> None:
    """Registers two image files and writes the transform."""
    import SimpleITK as sitk

    import regenv
    from regenv.core.sitk import image_to_sitk
    from regenv.data.image_io import read_image

    for path in (output, moved):
        if path is not None and not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"there is no folder {path.absolute().parent} to write {path.name} into")
    images = [image_to_sitk(read_image(path, ndim=3)) for path in (fixed, moving)]
    result = regenv.align(
        images[0], images[1], initial=_read_transform(initial), agent=agent, model=model, runs=runs, seed=seed
    )
    sitk.WriteTransform(result.transform, str(output))
    change = f"{result.similarity_start:.4f} to {result.similarity_end:.4f}"
    confidence = "not known from one run" if runs == 1 else f"{result.confidence:.2f}"
    typer.echo(f"{result.similarity} {change}, confidence {confidence}, {result.seconds:.2f} s")
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"wrote {output}")
    if moved is not None:
        lowest = float(sitk.GetArrayViewFromImage(images[1]).min())
        sitk.WriteImage(sitk.Resample(images[1], images[0], result.transform, sitk.sitkLinear, lowest), str(moved))
        typer.echo(f"wrote {moved}")


def _read_transform(path: Path | None) -> Any:
    import SimpleITK as sitk

    from regenv.data.transform_files import read_transform

    if path is None:
        return None
    matrix = read_transform(path, 3, "affine")
    return sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())
