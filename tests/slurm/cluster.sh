# shellcheck shell=bash
# A Slurm cluster of two virtual nodes (n1, n2) on this machine, in one folder: own munge key, own ports, own state.
# Sourced by run.
#   cluster_start FOLDER   cluster_stop   node_start NAME   node_kill NAME
# Every process that it starts has its id in FOLDER/*.pid and is ended by it. No file outside FOLDER is touched.

cluster=

install_slurm() {
  if command -v slurmctld slurmd munged sbatch >/dev/null; then return 0; fi
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
    slurmctld slurmd slurm-client munge)
  "${install[@]}" >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && "${install[@]}" >/dev/null 2>&1; }
}

free_ports() {  # COUNT
  python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])
PYTHON
}

# cred_expire=5: the default makes every requeue wait two minutes. linuxproc and task/none need no cgroups.
write_configuration() {
  local host ctld p1 p2
  host=$(hostname -s)
  read -r ctld p1 p2 <<<"$(free_ports 3)"
  cat >"$cluster/slurm.conf" <<CONF
ClusterName=virtual
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$ctld
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/munge.socket,cred_expire=5
StateSaveLocation=$cluster/state
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdSpoolDir=$cluster/spool-%n
TmpFS=$cluster/tmp
SlurmdPidFile=$cluster/slurmd-%n.pid
SlurmdLogFile=$cluster/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,batch_sched_delay=1
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=5
MinJobAge=3600
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$p1 CPUs=2
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$p2 CPUs=2
PartitionName=normal Nodes=n1,n2 Default=YES PriorityTier=1 GraceTime=15 MaxTime=60
PartitionName=urgent Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF MaxTime=60
CONF
}

cluster_start() {  # FOLDER
  cluster=$1
  mkdir -p "$cluster"/{state,spool-n1,spool-n2,tmp}
  chmod 755 "$cluster"
  dd if=/dev/urandom of="$cluster/munge.key" bs=1024 count=1 status=none
  chmod 400 "$cluster/munge.key"
  write_configuration
  export SLURM_CONF=$cluster/slurm.conf
  munged --force --key-file="$cluster/munge.key" --socket="$cluster/munge.socket" --pid-file="$cluster/munged.pid" \
    --log-file="$cluster/munged.log" --seed-file="$cluster/munged.seed"
  slurmctld -c
  node_start n1
  node_start n2
  wait_for 30 nodes_idle
}

node_start() { slurmd -N "$1"; }

# The node is gone at once, with everything that ran on it: slurmd, its step daemons and their tasks.
node_kill() {
  local slurmd
  slurmd=$(cat "$cluster/slurmd-$1.pid")
  # shellcheck disable=SC2046
  kill -KILL "$slurmd" $(steps_of "$1") 2>/dev/null || true
}

# Ids of the step daemons of a node and of all their descendants. Step daemons are named "slurmstepd: [JOB.STEP]" and
# keep the spool folder of their node open.
steps_of() {  # NODE
  local pid
  for pid in $(pgrep -x slurmstepd || true); do
    if readlink "/proc/$pid"/fd/* 2>/dev/null | grep -q "$cluster/spool-$1\|$cluster/slurmd-$1.log"; then
      echo "$pid"
      descendants "$pid"
    fi
  done
}

descendants() {
  local child
  for child in $(pgrep -P "$1" || true); do
    echo "$child"
    descendants "$child"
  done
}

nodes_idle() { [ "$(sinfo -h -N -o %T -p normal 2>/dev/null | sort -u)" = idle ]; }

wait_for() {  # SECONDS CONDITION...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}

cluster_stop() {
  [ -n "$cluster" ] || return 0
  scancel --signal=KILL --full --state=RUNNING -u root >/dev/null 2>&1 || true
  local name pid pids=()
  for name in n1 n2; do mapfile -t -O "${#pids[@]}" pids < <(steps_of "$name"); done
  for name in slurmctld slurmd-n1 slurmd-n2 munged; do
    pid=$(cat "$cluster/$name.pid" 2>/dev/null || true)
    [ -z "$pid" ] || pids+=("$pid")
  done
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  cluster=
}
