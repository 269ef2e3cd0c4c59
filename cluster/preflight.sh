#!/usr/bin/env bash
# Is this allocation fit for a long run? Run it where the training will run, before it:
#   cluster/preflight.sh [--ranks N] [--dir RUN_FOLDER] [--hosts a,b,...]      inside an sbatch or salloc: no options
# Checks the hosts, their clocks, GPUs when there are any, the shared file system (rename, fsync, visibility, latency)
# and the network (a small training run with all ranks). Prints a table; exit status 0: fit, 1: a check failed, 64: bad
# arguments.
set -uo pipefail
ranks=${SLURM_NTASKS:-2}
dir=.
hosts=
while [ $# -gt 0 ]; do
  case $1 in
    --ranks) ranks=${2:?--ranks needs a number}; shift 2 ;;
    --dir) dir=${2:?--dir needs a folder}; shift 2 ;;
    --hosts) hosts=${2:?--hosts needs a list}; shift 2 ;;
    *) echo "preflight.sh: unknown argument $1; see the head of the file" >&2; exit 64 ;;
  esac
done
cllm4rec=${CLLM4REC:-build/cllm4rec}
max_clock_ms=${PREFLIGHT_CLOCK_MS:-2000}
max_fsync_ms=${PREFLIGHT_FSYNC_MS:-100}

run=(mpirun --bind-to none --mca orte_base_help_aggregate 1)
[ "$(id -u)" -ne 0 ] || run+=(--allow-run-as-root)
[ -z "$hosts" ] || run+=(--host "$hosts")
[ -n "${SLURM_JOB_ID:-}" ] || [ -n "$hosts" ] || run+=(--oversubscribe --mca mpi_yield_when_idle 1)

failed=0
row() { printf '%-12s %-7s %s\n' "$1" "$2" "$3"; [ "$2" != FAILED ] || failed=1; }

# --- hosts and clocks ------------------------------------------------------------------------------------------------
# Every rank says its host and the time; the spread includes the start of the ranks, so the slack is generous.
check_hosts() {
  local said of_host spread
  # shellcheck disable=SC2016  # the ranks expand it
  if ! said=$("${run[@]}" -n "$ranks" bash -c 'echo "PREFLIGHT $(hostname -s) $(date +%s%3N)"' 2>/dev/null |
    grep -a '^PREFLIGHT'); then
    row hosts FAILED "mpirun cannot start $ranks ranks; run by hand: ${run[*]} -n $ranks hostname"
    return
  fi
  of_host=$(awk '{count[$2]++} END {for (h in count) printf "%s:%d ", h, count[h]}' <<<"$said")
  row hosts ok "$(wc -l <<<"$said") ranks on $of_host"
  [ "$(wc -l <<<"$said")" -eq "$ranks" ] || row hosts FAILED "$ranks ranks asked for"
  spread=$(awk 'NR == 1 {low = high = $3} {if ($3 < low) low = $3; if ($3 > high) high = $3}
    END {print high - low}' <<<"$said")
  if [ "$spread" -le "$max_clock_ms" ]; then
    row clocks ok "$spread ms apart at most, start of the ranks included"
  else
    row clocks FAILED "$spread ms apart; start chronyd or ntpd on the hosts"
  fi
}

# --- GPUs: none is no failure; a sick one is -------------------------------------------------------------------------
check_gpus() {
  if ! command -v nvidia-smi >/dev/null; then row gpus none "no nvidia-smi on $(hostname -s): a CPU run"; return; fi
  local listed errors fields=index,name,memory.used,temperature.gpu
  if ! listed=$(timeout 60 nvidia-smi --query-gpu=$fields --format=csv,noheader 2>&1); then
    row gpus FAILED "nvidia-smi: $(head -1 <<<"$listed")"
    return
  fi
  row gpus ok "$(wc -l <<<"$listed") of $(cut -d, -f2 <<<"$listed" | sort -u | tr '\n' ' ')"
  errors=$(nvidia-smi --query-gpu=ecc.errors.uncorrected.volatile.total --format=csv,noheader 2>/dev/null |
    grep -E '^[1-9]' || true)
  [ -z "$errors" ] || row gpus FAILED "uncorrected memory errors: $(tr '\n' ' ' <<<"$errors"); drain the host"
}

# --- file system: what a commit needs: write, fsync, rename a folder, fsync the parent, and the other hosts see it ---
check_files() {
  local probe=$dir/preflight-$$ took
  if ! mkdir -p "$probe/a.tmp" 2>/dev/null; then row files FAILED "cannot write in $dir"; return; fi
  took=$({ TIMEFORMAT=%R; time for n in 1 2 3 4 5 6 7 8 9 10; do
    dd if=/dev/zero of="$probe/a.tmp/$n" bs=64k count=16 conv=fsync status=none
  done; } 2>&1)
  took=$(awk -v s="$took" 'BEGIN {printf "%d", s * 100}')  # ms for each of ten
  if [ "$took" -le "$max_fsync_ms" ]; then
    row fsync ok "1 MiB written and synced in $took ms"
  else
    row fsync FAILED "1 MiB takes $took ms, more than $max_fsync_ms; is $dir on the parallel file system?"
  fi
  if mv "$probe/a.tmp" "$probe/a" && sync "$probe" && [ -s "$probe/a/10" ]; then
    row rename ok "a folder is renamed at once"
  else
    row rename FAILED "cannot rename a folder in $dir"
  fi
  local seen
  seen=$("${run[@]}" -n "$ranks" bash -c "[ -s '$(realpath "$probe")/a/10' ] && echo PREFLIGHT" 2>/dev/null |
    grep -ac '^PREFLIGHT')
  if [ "$seen" -eq "$ranks" ]; then
    row shared ok "every rank sees $dir"
  else
    row shared FAILED "$seen of $ranks ranks see $dir: it is not shared"
  fi
  local lock=$probe/lock
  if (exec 9>"$lock" && flock -n 9) 2>/dev/null; then
    row locks ok "two jobs on one run folder are told apart"
  else
    row locks none "no file locks: never start two jobs on one run folder"
  fi
  row space ok "$(df -h --output=avail "$dir" | tail -1 | tr -d ' ') free in $dir"
  rm -rf "$probe"
}

# --- network and program: a small run of everything that training does, all ranks, with a deadline -------------------
check_program() {
  local scratch=$dir/preflight-run-$$ start=$SECONDS
  mkdir -p "$scratch"
  if "$cllm4rec" demo-data "$scratch/raw" --users 60 --items 30 >"$scratch/log" 2>&1 &&
    "$cllm4rec" prepare --input "$scratch/raw" --output "$scratch/corpus" --train-tokenizer 280 >>"$scratch/log" 2>&1 &&
    "$cllm4rec" pretrain-backbone --corpus "$scratch/corpus" --output "$scratch/backbone" --layers 1 --heads 2 \
      --width 16 --positions 96 --context 32 --blocks 4 --epochs 1 >>"$scratch/log" 2>&1 &&
    timeout 300 "${run[@]}" -n "$ranks" "$cllm4rec" train --run.dir="$scratch/run" --run.corpus="$scratch/corpus" \
      --run.backbone="$scratch/backbone" --warmup.epochs=1 --mutual.epochs=1 --finetune.epochs=1 \
      --run.deadline_s=60 >>"$scratch/log" 2>&1; then
    row training ok "a run of $ranks ranks trained, saved and was evaluated in $((SECONDS - start)) s"
    rm -rf "$scratch"
  else
    row training FAILED "$(grep -a 'cllm4rec: ' "$scratch/log" | tail -1) (log: $scratch/log)"
  fi
}

printf '%-12s %-7s %s\n' check result detail
if [ -x "$cllm4rec" ]; then
  row program ok "$cllm4rec $("$cllm4rec" --version)"
else
  row program FAILED "no program $cllm4rec; build it, or set CLLM4REC"
fi
check_hosts
check_gpus
check_files
[ "$failed" -ne 0 ] || check_program
exit "$failed"
