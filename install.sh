#!/usr/bin/env bash
# Set up AiATrack. Run it as often as you like: a second run with nothing to do takes seconds.
#
#   bash install.sh          Python packages (into .venv, or the active environment) and system libraries
#   bash install.sh --demo   ... then run the demo
#   bash install.sh --test   ... then run the tests
#   bash install.sh --cuda   ... and build the optional CUDA pooling (needs nvcc)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

run_demo=0 run_tests=0 build_cuda=0
for argument in "$@"; do
  case "$argument" in
    --demo) run_demo=1 ;;
    --test) run_tests=1 ;;
    --cuda) build_cuda=1 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "install.sh: unknown option '$argument'; there are --demo, --test and --cuda" >&2; exit 2 ;;
  esac
done

say() { printf '\n== %s\n' "$*"; }
fail() { echo "install.sh: $*" >&2; exit 1; }

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# The active environment if there is one, else .venv.
choose_python() {
  if [ -n "${VIRTUAL_ENV:-}" ] || { [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; }; then
    python=$(command -v python) || fail "the active environment has no python"
    recent_enough "$python" || fail "Python 3.10 or newer is needed; the active environment has $("$python" --version)"
    return
  fi
  python="$PWD/.venv/bin/python"
  if ! recent_enough "$python"; then
    local base=""
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
      if recent_enough "$candidate"; then base=$candidate; break; fi
    done
    [ -n "$base" ] || fail "Python 3.10 or newer is needed; found: $(python3 --version 2>&1)"
    say "Making .venv with $("$base" --version)"
    "$base" -m venv --clear .venv || fail "could not make .venv (on Debian and Ubuntu: apt-get install python3-venv)"
  fi
}

install_packages() {
  local stamp
  stamp="$("$python" -c 'import sys; print(sys.prefix)')/.aiatrack-requirements"
  if cmp -s requirements.txt "$stamp" && "$python" -c 'import torch, torchvision, timm, cv2' 2>/dev/null; then
    say "Python packages: up to date"
    return
  fi
  say "Installing Python packages (the first time this downloads a few gigabytes)"
  "$python" -m pip install -r requirements.txt
  "$python" -c 'import torch, torchvision, timm, cv2' || fail "the installed packages do not work together (see above)"
  cp requirements.txt "$stamp"
}

has_library() { "$python" -c "import ctypes.util, sys; sys.exit(ctypes.util.find_library('$1') is None)"; }

# Optional: without libturbojpeg images are decoded by OpenCV.
install_system_libraries() {
  if has_library turbojpeg; then return; fi
  local get="apt-get install -y libturbojpeg0"
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    say "Installing libturbojpeg"
    { apt-get update -qq && $get -qq; } >/dev/null 2>&1 || echo "could not; OpenCV will decode the images"
  else
    echo "libturbojpeg is missing; OpenCV will decode the images. To change that: sudo $get"
  fi
}

choose_python
install_packages
install_system_libraries
if [ "$build_cuda" = 1 ]; then
  say "Building the CUDA pooling"
  "$python" external/PreciseRoIPooling/setup.py build_ext --inplace
fi
if [ "$run_demo" = 1 ]; then
  say "Running the demo"
  "$python" tracking/demo.py
fi
if [ "$run_tests" = 1 ]; then
  say "Running the tests"
  "$python" -m pytest
fi
if [ "$run_demo$run_tests" = 00 ]; then
  say "Ready. Use $python, or activate its environment; next: bash install.sh --demo"
fi
