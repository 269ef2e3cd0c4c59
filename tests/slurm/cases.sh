# shellcheck shell=bash disable=SC2154,SC2317  # $project and $cluster are of run; conditions are called by wait_for
# The cases of tests/slurm/run, one function each; they run in a subshell with set -e, in the folder of the test.

# submit NAME [sbatch option ...] -- [override ...]: a job by cluster/train.sbatch on run folder NAME; prints its id.
submit() {
  local name=$1 options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  sbatch --parsable --output="$PWD/$name.out" "${options[@]}" "$project/cluster/train.sbatch" \
    --run.dir="$PWD/$name" --run.corpus="$PWD/corpus" --run.backbone="$PWD/backbone" --warmup.epochs=0 \
    --finetune.epochs=0 --evaluation.every_epochs=0 --log.tensorboard=false --log.every_steps=1000 \
    --checkpoint.every_seconds=1 "$@"
}
long="--mutual.epochs=1000000"

check() {  # CONDITION...: fails the case and says which
  "$@" || { echo "NOT HELD: $*"; return 1; }
}
state_is() { [[ "$(scontrol --oneliner show job "$1")" == *"JobState=$2"* ]]; }  # JOB STATE
ended() {
  ! scontrol --oneliner show job "$1" |
    grep -qE 'JobState=(PENDING|RUNNING|CONFIGURING|COMPLETING|SUSPENDED|REQUEUED)'
}
restarts_are() { scontrol --oneliner show job "$1" | grep -q "Restarts=$2 "; }
says() { grep -qE -- "$2" "$1" 2>/dev/null; }  # FILE PATTERN
steps_of_run() { sed -nE 's/.*resumed at step ([0-9]+).*/\1/p' "$1/train.log"; }
newest_step() {
  find "$1/checkpoints" -maxdepth 1 -name 'step-*' ! -name '*tmp*' -printf '%f\n' 2>/dev/null |
    sort | tail -1 | sed 's/step-0*//'
}
has_checkpoint() { [ -n "$(newest_step "$1")" ]; }
no_jobs() { [ -z "$(squeue -h)" ]; }
stop_all_jobs() {
  scancel --signal=KILL --full -u root 2>/dev/null
  scancel -u root 2>/dev/null
  wait_for 30 no_jobs || true
  wait_for 30 nodes_idle || true
}
training() { has_checkpoint "$1"; }  # steps are done

case_finishes() {
  local job
  job=$(submit finished --nodes=2 --ntasks=2 -- --mutual.epochs=2)
  check wait_for 60 ended "$job"
  check state_is "$job" COMPLETED
  check test -s finished/result.json
  check says finished.out 'ended with 0, requeue: no'
}

case_signal_saves_and_requeues() {
  local job before
  job=$(submit signal --nodes=2 --ntasks=2 -- $long)
  check wait_for 60 training signal
  scancel --batch --signal=USR1 "$job"
  check wait_for 30 says signal.out 'ended with 75, requeue: yes'
  before=$(newest_step signal)
  check wait_for 60 says signal/train.log "resumed at step $before "
  check restarts_are "$job" 1
  check wait_for 30 state_is "$job" RUNNING
}

case_restarts_are_limited() {
  local job
  job=$(CLLM4REC_MAX_RESTARTS=0 submit limited --ntasks=1 -- $long)
  check wait_for 60 training limited
  scancel --batch --signal=USR1 "$job"
  check wait_for 30 ended "$job"
  check says limited.out 'ended with 75, requeue: no'
  check restarts_are "$job" 0
}

# Slurm's shortest limit is a minute, so the warning is set to come after a few seconds.
case_chain_of_three() {
  local job steps
  job=$("$project/cluster/chain.sh" 3 --ntasks=2 --time=1 --signal=B:USR1@52 --output="$PWD/chain.out" -- \
    --run.dir="$PWD/chain" --run.corpus="$PWD/corpus" --run.backbone="$PWD/backbone" --warmup.epochs=0 \
    --finetune.epochs=0 --evaluation.every_epochs=0 --log.tensorboard=false --log.every_steps=1000 $long)
  echo "array $job"
  check wait_for 170 no_jobs
  check test "$(grep -c 'ended with 75' chain.out)" -eq 3
  steps=$(steps_of_run chain)
  echo "resumed at $steps"
  check test "$(wc -w <<<"$steps")" -eq 2
  check test "$(sort -n -c <<<"$steps" && echo sorted)" = sorted
}

case_preempted() {
  local low high
  low=$(submit low --nodes=2 --ntasks=2 --exclusive -- $long)
  check wait_for 60 training low
  high=$(sbatch --parsable --partition=urgent --nodes=2 --exclusive --output=/dev/null --wrap 'sleep 3')
  check wait_for 30 says low.out 'signal: saving'
  check wait_for 30 says low.out 'ended with 75'
  check wait_for 40 ended "$high"
  check wait_for 60 says low/train.log 'resumed at step'
  check restarts_are "$low" 1
}

case_node_lost() {
  local job before
  job=$(submit lost --nodes=2 --ntasks-per-node=1 -- $long)
  check wait_for 60 training lost
  before=$(newest_step lost)
  node_kill n2
  check wait_for 60 says <(scontrol --oneliner show job "$job") 'JobState=(PENDING|REQUEUED|RUNNING)'
  sleep 12 # longer than SlurmdTimeout: the controller must see the node go
  node_start n2
  check wait_for 90 says lost/train.log 'resumed at step'
  check test "$(steps_of_run lost | tail -1)" -ge "$before"
}

case_slurmd_restarts() {
  local job pid before
  job=$(submit daemon --nodes=2 --ntasks=2 -- $long)
  check wait_for 60 training daemon
  pid=$(cat "$cluster/slurmd-n1.pid")
  kill -TERM "$pid"
  check wait_for 20 test ! -e "/proc/$pid"
  node_start n1
  before=$(newest_step daemon)
  further() { [ "$(newest_step daemon)" -gt "$before" ]; }
  check wait_for 30 further
  check state_is "$job" RUNNING
  check restarts_are "$job" 0
  scancel --batch --signal=USR1 "$job"
  check wait_for 30 says daemon.out 'ended with 75, requeue: yes'
}

case_codes_not_requeued() {
  local job code
  job=$(submit broken --ntasks=1 -- $long)
  check wait_for 60 training broken
  scancel --signal=KILL --full "$job"
  scancel "$job"
  check wait_for 30 ended "$job"
  find broken/checkpoints -name manifest.json -exec truncate -s 100 {} +
  job=$(submit broken --ntasks=1 -- $long)
  check wait_for 60 ended "$job"
  check says broken.out 'ended with 66, requeue: no'
  check restarts_are "$job" 0
  for code in 64 65 66 70 74 78; do
    printf '#!/bin/sh\nexit %d\n' "$code" >"ends_with_$code"
    chmod +x "ends_with_$code"
    CLLM4REC=$PWD/ends_with_$code submit "code$code" --ntasks=1 -- >/dev/null
  done
  check wait_for 60 no_jobs
  for code in 64 65 66 70 74 78; do
    check says "code$code.out" "ended with $code, requeue: no"
    check test "$(grep -c 'ended with' "code$code.out")" -eq 1
  done
}

# Every start dies before its first step: the program itself ends the loop.
case_crash_loop_ends() {
  local job
  job=$(submit loop --ntasks=1 -- $long --allow-failpoints --failpoint=start.before_first_step:kill)
  check wait_for 120 ended "$job"
  check says loop.out 'ended with 137, requeue: yes'
  check says loop.out 'ended with 78, requeue: no'
  check restarts_are "$job" 3
}

# No signal in time: the run knows the end of the job and stops itself. A minute is Slurm's shortest limit.
case_stops_before_the_limit() {
  local job
  job=$(submit limit --ntasks=1 --time=1 --signal=B:CONT@1 -- $long)
  check wait_for 90 says limit.out 'ended with 75, requeue: yes'
  check wait_for 30 restarts_are "$job" 1
}

case_second_job_refuses() {
  local first second
  first=$(submit shared --ntasks=1 -- $long)
  check wait_for 60 training shared
  second=$(sbatch --parsable --output="$PWD/second.out" --ntasks=1 "$project/cluster/train.sbatch" \
    --run.dir="$PWD/shared" --run.corpus="$PWD/corpus" --run.backbone="$PWD/backbone" --warmup.epochs=0 \
    --finetune.epochs=0 --evaluation.every_epochs=0 --log.tensorboard=false --log.every_steps=1000 \
    --checkpoint.every_seconds=1 $long)
  check wait_for 60 ended "$second"
  check says second.out "shared is in use by job $first"
  check says second.out 'ended with 64, requeue: no'
  check state_is "$first" RUNNING
}

case_cancelled_is_not_requeued() {
  local job
  job=$(submit cancelled --ntasks=1 -- $long)
  check wait_for 60 training cancelled
  scancel "$job"
  check wait_for 30 ended "$job"
  check state_is "$job" CANCELLED
  check restarts_are "$job" 0
}

# The ranks get TERM themselves, and save.
case_cancelled_srun_form() {
  local job
  job=$(CLLM4REC_LAUNCHER=srun submit cancelled_tasks --nodes=1 --ntasks=2 -- $long)
  check wait_for 60 training cancelled_tasks
  scancel "$job"
  check wait_for 30 ended "$job"
  check says cancelled_tasks.out 'ended with 75, requeue: no'
  check state_is "$job" CANCELLED
  check restarts_are "$job" 0
}

# One virtual node: Slurm's PMIx keeps its sockets per host, and here both nodes are one host.
case_srun_form() {
  local job before
  srun --mpi=list 2>&1 | grep -q pmix || { echo "this Slurm has no PMIx"; return 1; }
  job=$(CLLM4REC_LAUNCHER=srun submit tasks --nodes=1 --ntasks=2 -- $long)
  check wait_for 60 training tasks
  scancel --batch --signal=USR1 "$job"
  check wait_for 30 says tasks.out 'ended with 75, requeue: yes'
  before=$(newest_step tasks)
  check wait_for 60 says tasks/train.log "resumed at step $before "
}

case_nothing_is_left() {
  stop_all_jobs
  check no_jobs
  nothing_runs() { ! pgrep -f "$PWD/corpus" >/dev/null; }
  check wait_for 20 nothing_runs
}
