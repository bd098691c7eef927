#!/usr/bin/env bash
# Train the demo weights as they were trained; README, "Demo weights". From FOLDER of photographs with
# segmentation masks, <name>.jpg and <name>.png. Goes on where it was stopped. SAVE_DIR, where checkpoints and
# logs go, is the project's folder unless given; options are train.py's, for all stages.
#
#   bash tracking/train_demo.sh FOLDER [SAVE_DIR] [OPTION ...]
set -euo pipefail
if [ $# -lt 1 ]; then
  echo "usage: bash tracking/train_demo.sh FOLDER_OF_PHOTOGRAPHS [SAVE_DIR] [OPTION ...]" >&2
  exit 2
fi
if [ ! -d "$1" ]; then
  echo "train_demo.sh: $1: no such folder; photographs <name>.jpg with segmentation masks <name>.png are needed" >&2
  exit 2
fi
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export AIATRACK_PHOTOGRAPHS_DIR="$(cd "$1" && pwd)"
shift
save="$root"
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  save="$1"
  shift
fi
if [ -n "${VIRTUAL_ENV:-}" ]; then python=python; else python="$root/.venv/bin/python"; fi

# Large pages make a step on a CPU a quarter faster. Both cores compute while the loading process
# takes its share: threads that wait must not spin. Another number of threads gives other last bits.
export THP_MEM_ALLOC_ENABLE="${THP_MEM_ALLOC_ENABLE:-1}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"

stage() { # recipe, options
  "$python" "$root/tracking/train.py" --config "$1" --precision bf16 --channels-last \
    --save-dir "$save" "${@:2}"
}
newest() { # recipe
  local found=("$save/checkpoints/train/aiatrack/$1"/AIATRACK_ep*.pth.tar)
  echo "${found[-1]}"
}
stages="$root/experiments/aiatrack/demo_stages"
stage "$stages/demo_wide.yaml" --until 5 "$@"
stage "$stages/demo_near.yaml" --until 5 --init-from "$(newest demo_wide)" "$@"
stage demo --init-from "$(newest demo_near)" "$@"
