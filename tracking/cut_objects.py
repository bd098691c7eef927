"""Cut the objects out of a folder of photographs, for the synthetic clips that training composes.

    python tracking/cut_objects.py data/photographs --sheet objects.jpg

writes a mask `<stem>.png` beside each `<stem>.jpg` in which an object is found: 255 on it, 0 beside
it. Masks that are there are kept. Photographs without one serve as backgrounds and for parts.
"""

import contextlib
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser, run_program
from lib.cli.progress import progress
from lib.io.listing import list_folder
from lib.synthetic.cutting import cut_object, draw_sheet
from lib.utils.device import usable_cores
from lib.utils.files import atomic_write, check_outputs
from lib.utils.image import ImageError, encode_rgb, is_image_name, read_rgb


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, help="photographs, *.jpg")
    parser.add_argument("--sheet", type=Path, help="picture of the objects found, to look at")
    parser.add_argument("--anew", action="store_true", help="replace masks that are there")
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that is there")
    arguments = parser.parse_args()
    names = list_folder(arguments.folder)
    photographs = [arguments.folder / name for name in names if name.endswith(".jpg")]
    if arguments.sheet:
        check_outputs([arguments.sheet], [arguments.folder], overwrite=arguments.overwrite)
        if not is_image_name(arguments.sheet.name):
            parser.error(f"--sheet is an image, such as objects.jpg; given: {arguments.sheet}")
    if not photographs:
        parser.error(f"{arguments.folder}: no *.jpg there")
    verdicts: Counter[str] = Counter()
    with ProcessPoolExecutor(usable_cores(), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        work = pool.map(partial(write_mask, anew=arguments.anew), photographs, chunksize=16)
        verdicts.update(progress(work, "cutting", total=len(photographs), unit="photographs"))
    for verdict, count in verdicts.most_common():
        print(f"{count:6d}  {verdict}")
    if arguments.sheet:
        atomic_write(arguments.sheet, partial(write_sheet, photographs, arguments.sheet.suffix))
    return int("cannot be read" in verdicts)


def write_mask(path: Path, *, anew: bool) -> str:
    """Write a photograph's mask if it has an object; returns what came of it."""
    mask_path = path.with_suffix(".png")
    if mask_path.exists() and not anew:
        return "mask was there"
    try:
        found = cut_object(read_rgb(path))
    except (ImageError, OSError) as error:
        print(error, file=sys.stderr)
        return "cannot be read"
    if found.mask is not None:
        data = cv2.imencode(".png", found.mask)[1].tobytes()
        atomic_write(mask_path, lambda file: file.write(data))
    return found.verdict


def write_sheet(photographs: list[Path], suffix: str, file: BinaryIO) -> None:
    masked = [path for path in photographs if path.with_suffix(".png").is_file()]
    pairs = []
    for path in masked[:: max(len(masked) // 200, 1)]:
        with contextlib.suppress(OSError, ImageError):  # as is told where masks are written
            image, mask = read_rgb(path), read_rgb(path.with_suffix(".png"))[..., 0]
            pairs += [(image, mask)] if mask.shape == image.shape[:2] else []
    file.write(encode_rgb(draw_sheet(pairs), suffix))


if __name__ == "__main__":
    run_program(main)
