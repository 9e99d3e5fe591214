#!/usr/bin/env bash
# The peers into build/bench-venv. Prints nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=build/bench-venv wanted=benchmarks/side_by_side/requirements.txt stamp=$venv/.requirements
if [[ -f $stamp ]] && cmp -s "$stamp" "$wanted"; then exit 0; fi
printf '\n== Installing the peers into %s\n' "$venv"
"${PYTHON:-python3}" -m venv --clear "$venv"
"$venv/bin/pip" install -qq --disable-pip-version-check --requirement "$wanted"
# PyPI has torchvision for CUDA only, which would pull in gigabytes that nothing here uses; see cuda_stubs.py.
"$venv/bin/pip" install -qq --disable-pip-version-check --no-deps torchvision==0.28.0
# It asks for torchvision as well.
"$venv/bin/pip" install -qq --disable-pip-version-check --no-deps open_clip_torch==3.3.0 timm==1.0.31 ftfy==6.3.1 wcwidth
PYTHONPATH=benchmarks "$venv/bin/python" -c '
import pathlib, sys
from side_by_side import cuda_stubs
import torch
if torch.version.cuda is None: cuda_stubs.build(pathlib.Path(sys.argv[1]))' "$venv/cuda_stubs"
cp "$wanted" "$stamp"
