#!/usr/bin/env bash
# Everything about this project that needs a GPU, within minutes: docs/gpu.md says what it measures and how to
# bring it to a machine without a network. Each stage has a time limit of its own and appends to
# OUT/summary.txt when it ends; the whole takes LIMIT seconds at most (540 unless given). The exit status is 1 if
# a stage failed, which stops no other.
#
#   [LIMIT=540] [PYTHON=python3] bash tracking/gpu_check.sh [--dry] OUT
#
# OUT: a new folder, for the summary, every log and all figures as JSON.
# --dry: on the CPU with tiny sizes, to see that the script works.
set -uo pipefail
usage() { sed -n '7,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
dry=0
if [ "${1:-}" = --dry ]; then dry=1; shift; fi
if [ $# -ne 1 ] || [ "${1#-}" != "$1" ]; then usage; fi
mkdir -p "$1" || exit 1
if [ -n "$(ls -A "$1")" ]; then echo "gpu_check.sh: $1 holds something; give a new folder" >&2; exit 2; fi
out=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
if [ -n "${PYTHON:-}" ]; then python=$PYTHON
elif [ -x .venv/bin/python ] && [ -z "${VIRTUAL_ENV:-}" ]; then python=$PWD/.venv/bin/python
else python=python3; fi
limit=${LIMIT:-540} summary=$out/summary.txt failed=0
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$out/site:$PWD${PYTHONPATH:+:$PYTHONPATH}"
: >"$summary"

say() { printf '%s\n' "$*" | tee -a "$summary"; }
left() { echo $((limit - SECONDS)); }
stage() { # name, seconds at most, lines kept, command...
  local name=$1 most=$((dry ? 3 * $2 : $2)) keep=$3 start=$SECONDS status; shift 3
  if [ "$most" -gt "$(left)" ]; then most=$(left); fi
  if [ "$most" -lt 5 ]; then say "== $name: not run, no time is left"; return; fi
  timeout --kill-after=5 "$most" "$@" >"$out/$name.log" 2>&1
  status=$?
  local result="failed with status $status"
  case $status in 0) result=ok ;; 124 | 137) result="stopped after its $most s" ;; esac
  if [ $status -ne 0 ]; then failed=1; fi
  say "== $name: $result, $((SECONDS - start)) s"
  tail -n "$keep" "$out/$name.log" | tee -a "$summary"
}

profile="tracking/profile_model.py"
if [ $dry = 1 ]; then
  on=(--device cpu --param quick) frames=(--frames 1)
  modes=plain,optimized reduced=optimized batches=1,2 sizes=(2) steps=1 need=() train_on=cpu demo_seconds=3
  training=(--samples 8 --batch-size 4 --workers 0) loading=(--samples 4 --batch-size 2 --steps 1)
else
  on=(--device cuda) frames=()
  modes=plain,optimized,graph,bf16,bf16-graph reduced=optimized,graph,bf16-graph batches=1,8,32
  sizes=(15 60 120) steps=10 need=(--need gpu) train_on=cuda demo_seconds=
  training=(--workers $(($(nproc) > 1 ? $(nproc) - 1 : 1))) loading=()
fi

stage packages 60 5 "$python" -c '
import sys
from lib.tools.setup.wheels import install_missing
print(install_missing(sys.argv[1], sys.argv[2], "requirements.txt"))' wheels "$out/site"
stage ceilings 60 4 "$python" -c '
import sys, torch
from lib.tools.profiling.ceilings import measure_ceilings
print("torch", torch.__version__)
print(measure_ceilings(torch.device(sys.argv[1])))' "$train_on"

# The build needs no GPU, so it goes on beside the next stages.
build=
if [ $dry = 0 ] && { command -v nvcc >/dev/null || [ -n "${CUDA_HOME:-}" ] || [ -x /usr/local/cuda/bin/nvcc ]; }; then
  TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-9.0} timeout 180 "$python" external/PreciseRoIPooling/setup.py \
    build_ext --inplace >"$out/build.log" 2>&1 &
  build=$!
fi
stage self_test 90 12 "$python" tracking/check_setup.py "${need[@]}"
stage gpu_tests 150 12 "$python" -m pytest -q -n 0 -p no:cacheprovider -m "" tests/gpu
if [ -z "$build" ]; then
  say "== build of the pooling: not run, $([ $dry = 1 ] && echo --dry || echo no nvcc is here)"
elif wait $build; then
  say "== build of the pooling: ok"
else
  failed=1 build=
  say "== build of the pooling: failed"; tail -n 3 "$out/build.log" | tee -a "$summary"
fi
stage pooling 60 3 "$python" -m pytest -q -n 0 -p no:cacheprovider tests/external/test_prroi_extension.py
if [ -n "$build" ]; then
  if command -v compute-sanitizer >/dev/null; then
    stage sanitizer 60 8 compute-sanitizer --error-exitcode 9 "$python" -m pytest -q -n 0 -p no:cacheprovider \
      tests/external/test_prroi_extension.py -k cuda
  else
    say "== sanitizer: not run, no compute-sanitizer is here"
  fi
fi
stage profile 80 30 "$python" $profile "${on[@]}" "${frames[@]}" --modes $modes --json "$out/profile.json"
stage batches 80 30 "$python" $profile "${on[@]}" "${frames[@]}" --modes $reduced --batch $batches \
  --json "$out/batches.json"
for size in "${sizes[@]}"; do
  stage "train_$size" 60 5 "$python" $profile --train --no-compile "${on[@]}" --batch-size "$size" --steps $steps \
    --json "$out/train_$size.json"
done
# The recipe to train at the end: that of the demo weights if photographs are at hand, else a tiny network on
# procedural clips. Does its step limit training, or do the cores that compose the clips?
recipe=$out/procedural.yaml
sed 's/\[DEMO/[SYNTHETIC_PROCEDURAL/' experiments/aiatrack/quick.yaml >"$recipe"
if [ $dry = 0 ] && [ -n "${AIATRACK_PHOTOGRAPHS_DIR:-}" ]; then recipe=demo; fi
stage limit 90 24 "$python" $profile --train --data --no-compile "${on[@]}" --param "$recipe" "${loading[@]}" \
  --json "$out/limit.json"
# Compiling takes minutes: only where they are left beside those for the demo.
if [ $dry = 0 ] && [ "$(left)" -gt 200 ]; then
  stage compiled $(($(left) - 90)) 30 "$python" $profile "${on[@]}" --modes plain,compiled --json "$out/compiled.json"
fi
if [ $dry = 0 ] && [ "$(left)" -gt 200 ]; then
  stage train_compiled $(($(left) - 90)) 5 "$python" $profile --train "${on[@]}" --batch-size 60 \
    --json "$out/train_compiled.json"
fi

# Training for the time that is left.
seconds=${demo_seconds:-$(($(left) - 30))}
if [ "$seconds" -ge 1 ]; then
  stage demo $((seconds + 30)) 5 "$python" tracking/train.py --config "$recipe" --device $train_on --precision bf16 \
    --channels-last "${training[@]}" --until-seconds "$seconds" --save-dir "$out"
fi
say "== done in $SECONDS s"
exit $failed
