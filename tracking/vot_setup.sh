#!/usr/bin/env bash
# The VOT toolkit in an environment of its own, and vot-trax (BSD) in AiATrack's.
#
#   bash tracking/vot_setup.sh [DIR]     DIR: the toolkit's environment (default: .venv-vot)
#
# The toolkit is GPL and pins versions of its own, so it is never installed beside AiATrack: it runs
# as another process and starts the tracker by a command line. A second run takes seconds.
#
# 0.7.4 is the newest version that runs VOT2020: from 0.8.0 to 0.9.0 its experiment, `multistart`,
# ends with "ObjectQuery.state must be a Region" before any tracker is asked. Another version for
# other challenges: VOT_TOOLKIT=0.9.0 bash tracking/vot_setup.sh .venv-vot-0.9
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

environment=${1:-.venv-vot}
# attributee 0.1.10 fails at import with the toolkit on Python 3.11.
toolkit="vot-toolkit==${VOT_TOOLKIT:-0.7.4} attributee==0.1.9 vot-trax==4.0.2"
trax="vot-trax==4.0.2"

# AiATrack's Python: that of the active environment if there is one, else .venv, as install.sh has it.
active=${VIRTUAL_ENV:-}
if [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then active=${CONDA_PREFIX:-}; fi
if [ -n "$active" ] || [ ! -x .venv/bin/python ]; then python=$(command -v python3 || command -v python)
else python=.venv/bin/python; fi

if ! "$environment/bin/vot" --help >/dev/null 2>&1; then
  echo "== The toolkit, in $environment"
  "$python" -m venv --clear "$environment"
  # shellcheck disable=SC2086
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check $toolkit
  "$environment/bin/vot" --help >/dev/null
fi
if ! "$python" -c 'import trax' 2>/dev/null; then
  echo "== vot-trax, in AiATrack's environment"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps six "$trax"
  "$python" -c 'import trax'
fi
echo "Ready; next: $python tracking/vot_workspace.py --registry vot_workspace"
