#!/usr/bin/env bash
# Installs the locked torch into an environment that has none. Usage: install_torch.sh PYTHON LOCK
# The CPU build where there is no GPU, because the other one brings gigabytes of CUDA; where the CPU
# build cannot be had, the other one.
set -euo pipefail
python=$1 lock=$2
version=$(sed -n 's/^torch==//p' "$lock")
pip=("$python" -m pip --disable-pip-version-check)

! "$python" -c 'import torch' 2>/dev/null || exit 0
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
  echo "setup: GPU found, installing torch $version with CUDA"
  "${pip[@]}" install -q -c "$lock" "torch==$version"
else
  echo "setup: no GPU, installing the CPU build of torch $version"
  "${pip[@]}" install -q -c "$lock" "torch==$version+cpu" 2>/dev/null ||
    "${pip[@]}" --retries 1 install -q -c "$lock" "torch==$version+cpu" \
      --extra-index-url https://download.pytorch.org/whl/cpu 2>/dev/null ||
    { echo "setup: there is no CPU build here, taking the one with CUDA" &&
      "${pip[@]}" install -q -c "$lock" "torch==$version"; }
fi
