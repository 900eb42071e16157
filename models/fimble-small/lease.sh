#!/usr/bin/env bash
# One call of a training run on a lent machine (gpu.md): PRESET MINUTES TOTAL_MINUTES [more arguments for train.py].
# The same line again goes on where the last call stopped, as long as it is the same machine; on a fresh one it begins
# from .lease/resume, if that was carried along.  Results go to $OUT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR="${FIMBLE_LEASE:=/tmp/fimble}/compiled"
preset=$1 minutes=$2 total=$3
shift 3

for name in store heldout; do
    if [[ ! -f $FIMBLE_LEASE/$name/index.json ]]; then
        python3 models/fimble-small/store.py unpack ".lease/$name" "$FIMBLE_LEASE/$name"
    fi
done
resume=()
if [[ -d .lease/resume ]]; then resume=(--resume .lease/resume); fi
nvidia-smi --query-gpu=name,power.draw,utilization.gpu --format=csv -l 30 >"$OUT/gpu.csv" 2>/dev/null &
watcher=$!
trap 'kill $watcher 2>/dev/null || true' EXIT

python3 models/fimble-small/train.py \
    --store "$FIMBLE_LEASE/store" --held-out "$FIMBLE_LEASE/heldout" --run "$FIMBLE_LEASE/run" --portable "$OUT" \
    --preset "$preset" --minutes "$minutes" --total-minutes "$total" "${resume[@]}" "$@"
