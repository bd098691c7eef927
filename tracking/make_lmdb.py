"""Pack a data set's folder into one LMDB file, which training reads in its place.

python tracking/make_lmdb.py data/LaSOT                 # writes data/LaSOT.lmdb
AIATRACK_LASOT_DIR=data/LaSOT.lmdb python tracking/train.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.cli.program import make_parser
from lib.cli.progress import progress
from lib.io.store import pack_lmdb, packed_path
from lib.utils.files import check_outputs


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path, help="data set's folder, such as data/LaSOT")
    parser.add_argument("--output", type=Path, help="file to write (default: <folder>.lmdb)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    target = arguments.output or packed_path(folder)
    try:
        check_outputs([target], [folder], overwrite=arguments.overwrite)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with progress(None, f"packing {folder.name}", unit="B", unit_scale=True) as bar:
        try:
            count = pack_lmdb(folder, target, progress=bar.update)
        except (FileNotFoundError, ValueError) as error:
            parser.error(str(error))
    print(f"{target}: {count} files, {target.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
