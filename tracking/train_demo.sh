#!/usr/bin/env bash
# Train the demo weights as they were trained; README, "Demo weights". From FOLDER of photographs with
# label maps, <name>.jpg and <name>.png; some two hours on two CPU cores. Goes on where it was stopped.
#
#   bash tracking/train_demo.sh FOLDER
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: bash tracking/train_demo.sh FOLDER_OF_PHOTOGRAPHS" >&2; exit 2; }
export AIATRACK_PHOTOGRAPHS_DIR="$(cd "$1" && pwd)"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -n "${VIRTUAL_ENV:-}" ]; then python=python; else python=.venv/bin/python; fi
checkpoints=checkpoints/train/aiatrack

stage() { # recipe, its last epoch, further options
  "$python" tracking/train.py --config "$1" --until "$2" --precision bf16 --channels-last --keep 100 "${@:3}"
}
stage demo_1 12
stage demo_2 11 --init-from "$checkpoints/demo_1/AIATRACK_ep0012.pth.tar"
stage demo_3 8 --init-from "$checkpoints/demo_2/AIATRACK_ep0011.pth.tar"
# The last recipe is the third with more jitter of the window: optimizer and schedule go on.
mkdir -p "$checkpoints/demo"
cp -n "$checkpoints/demo_3/AIATRACK_ep0008.pth.tar" "$checkpoints/demo/"
stage demo 18
