#!/usr/bin/env bash
# All cores of one machine:  cluster/mpirun_local.sh RANKS COMMAND ...     e.g. 4 train run.toml --loss.lambda=0.5
# Ctrl-C, TERM and USR1 save first: the exit code is then 75, and the same command line goes on. CLLM4REC names the
# program.
set -u
ranks=${1:?usage: mpirun_local.sh RANKS COMMAND ...}
shift
cores=$(nproc)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores / ranks > 0 ? cores / ranks : 1))}
root=()
[ "$(id -u)" -ne 0 ] || root=(--allow-run-as-root)

# In a process group of its own, so that Ctrl-C reaches this script only: mpirun would kill the ranks 2 s after INT or
# TERM, too early for a save. USR1 is what it hands on.
set -m
mpirun "${root[@]}" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -n "$ranks" \
  "${CLLM4REC:-build/cllm4rec}" "$@" </dev/null &
job=$!
trap 'kill -USR1 "$job" 2>/dev/null' INT TERM USR1

status=0
wait "$job" || status=$?
while kill -0 "$job" 2>/dev/null; do  # wait returns early when a trap runs
  status=0
  wait "$job" || status=$?
done
exit "$status"
