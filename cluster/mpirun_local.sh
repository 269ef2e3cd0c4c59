#!/usr/bin/env bash
# All cores of one machine:  cluster/mpirun_local.sh RANKS train run.toml [--section.key=value ...]
set -euo pipefail
ranks=${1:?usage: mpirun_local.sh RANKS COMMAND ...}
shift
cores=$(nproc)
export OMP_NUM_THREADS=$((cores / ranks > 0 ? cores / ranks : 1))
root=()
[ "$(id -u)" -ne 0 ] || root=(--allow-run-as-root)
exec mpirun "${root[@]}" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -n "$ranks" "${CLLM4REC:-build/cllm4rec}" "$@"
