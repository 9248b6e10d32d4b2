#!/usr/bin/env bash
# Every check that needs a GPU, then the race on it, with one table at the end. Not run on a device so far.
# Run it from a checkout with its environment: tests/gpu.sh [PYTHON [FOLDER]]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python}

"$python" - <<'EOF' || { echo "tests/gpu.sh needs a CUDA device, and torch finds none"; exit 2; }
import sys
import torch

sys.exit(not torch.cuda.is_available())
EOF

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
"$python" -m pytest -m gpu -rs -q tests | tee "$log" || failed=1
if grep -qE '[0-9]+ skipped' "$log"; then
    echo "a check was skipped, which proves nothing"
    failed=1
fi
"$python" -m tests.speed.race "${2:-runs/speed}" --device cuda || failed=1
sed -n '/^| task | M/,/^$/p' "${2:-runs/speed}/README.md"
exit "$failed"
