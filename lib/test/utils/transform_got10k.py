"""Pack GOT-10k results for its server, or check an archive.

    python lib/test/utils/transform_got10k.py --tracker_name aiatrack --cfg_name baseline_got
    python lib/test/utils/transform_got10k.py --check got10k_submit.zip

The archive goes to <results>/<tracker>/<config>/. Exit status 1 if something is refused.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

    from lib.test.utils.submission import main
    from lib.test.utils.submission_check import GOT10K

    sys.exit(main(GOT10K))
