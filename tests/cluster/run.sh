#!/usr/bin/env bash
# make test-cluster: run tests/cluster on a real Slurm of this machine alone, with two CPUs and two pretend GPUs.
#
# Everything happens in a mount namespace of its own: configuration, state and sockets lie in memory and vanish with it.
# The three daemons are stopped by pid at the end, also after a failure. Root and Debian's slurm-wlm and munge are needed;
# where they can't be had the tests are skipped with the reason, but never where CI is set.
set -euo pipefail

skip() {
    if [ -n "${CI:-}" ]; then
        echo "cluster tests cannot run in CI: $1" >&2
        exit 1
    fi
    echo "cluster tests SKIPPED: $1"
    exit 0
}

if [ "${1:-}" != inside ]; then
    [ "$(id -u)" -eq 0 ] || skip "only root may start munged, slurmctld and slurmd"
    if ! command -v slurmctld >/dev/null; then
        command -v apt-get >/dev/null || skip "no slurmctld here, and no apt-get to install slurm-wlm"
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            slurm-wlm munge; } >/dev/null 2>&1 || skip "slurm-wlm and munge cannot be installed"
    fi
    unshare --mount true 2>/dev/null || skip "mount namespaces are not allowed here"
    exec unshare --mount --propagation private "$0" inside "$@"
fi
shift

daemons=(/run/slurmd.pid /run/slurmctld.pid /run/munge/munged.pid)
stop() {
    local file pid
    for file in "${daemons[@]}"; do
        pid=$(cat "$file" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$pid" 2>/dev/null || true
    done
}
trap stop EXIT

for folder in /etc/slurm /run /var/lib/slurm /var/log/slurm /var/log/munge /var/lib/munge; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
hosts=$(mktemp) && cp /etc/hosts "$hosts" && mount --bind "$hosts" /etc/hosts
host=$(hostname -s)
for name in "$(hostname)" "$host"; do
    getent hosts "$name" >/dev/null || echo "127.0.0.1 $name" >>"$hosts"
done
address=$(getent ahostsv4 "$(hostname)" | awk 'NR == 1 {print $1}')
memory=$(($(slurmd -C | grep -o 'RealMemory=[0-9]*' | cut -d= -f2) * 8 / 10))
install -d -m 755 -o munge -g munge /run/munge /var/log/munge /var/lib/munge
install -d -m 755 /var/lib/slurm/slurmctld /var/lib/slurm/slurmd

cat >/etc/slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host($address)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
SchedulerParameters=sched_interval=5,bf_interval=5
ReturnToService=2
MinJobAge=3600
EnforcePartLimits=ALL
KillWait=5
GresTypes=gpu
NodeName=$host NodeAddr=$address CPUs=$(nproc) RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=1-0 State=UP
CONF
cat >/etc/slurm/gres.conf <<CONF
NodeName=$host Name=gpu File=/dev/null
NodeName=$host Name=gpu File=/dev/zero
CONF

runuser -u munge -- munged
if timeout 10 scontrol ping 2>/dev/null | grep -q "is UP"; then
    echo "another slurmctld answers on this machine; wait for its tests to end" >&2
    exit 1
fi
slurmctld -c
slurmd -c
for _ in $(seq 60); do
    [ "$(timeout 3 sinfo -h -o %T 2>/dev/null)" = idle ] && break
    sleep 0.5
done
state=$(timeout 3 sinfo -h -o %T || true)
if [ "$state" != idle ]; then
    cat /var/log/slurm/*.log >&2
    echo "the node is '$state' after 30 s, not idle" >&2
    exit 1
fi
AUTOJUDGE_SLURM=1 "$@"
