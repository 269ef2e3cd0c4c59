#!/usr/bin/env bash
# Many short jobs, one run: for partitions whose time limit is shorter than the training and that forbid requeueing.
#   cluster/chain.sh JOBS [sbatch options] -- run.toml [--section.key=value ...]
#   e.g. cluster/chain.sh 10 --nodes=2 --ntasks-per-node=2 --time=4:00:00 -- run.toml
# One array job of JOBS tasks, of which one runs at a time. Each goes on from the last checkpoint and ends with 75
# before its time is up; the first that ends with 0 (done), or with a code that would come again (64 to 70, 74, 78),
# cancels the tasks after it.
set -euo pipefail
usage="usage: chain.sh JOBS [sbatch options] -- run.toml [--section.key=value ...]"
jobs=${1:?$usage}
shift
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
[ "${1:-}" = -- ] || { echo "$usage" >&2; exit 64; }
shift
here=$(cd "$(dirname "$0")" && pwd)
sbatch --parsable --array="1-$jobs%1" --no-requeue --signal=B:USR1@300 --job-name=cllm4rec-chain --open-mode=append \
  --output="cllm4rec-%A.out" "${options[@]}" --wrap "
  export CLLM4REC_MAX_RESTARTS=0
  bash '$here/train.sbatch' $(printf '%q ' "$@") &
  job=\$!
  trap 'kill -USR1 \$job' USR1 TERM
  status=0; wait \$job || status=\$?
  while kill -0 \$job 2>/dev/null; do status=0; wait \$job || status=\$?; done
  case \$status in 71|75|12[89]|1[3-9]?|2??) ;; *) scancel --state=PENDING \$SLURM_ARRAY_JOB_ID ;; esac
  exit \$status"
