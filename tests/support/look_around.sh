# What a process sees of the container that it is in, in sections of lines. For busybox.
section() { echo "== $1"; }

section status
grep -E '^(Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Cap|THP|Spec|CoreD)' /proc/self/status

section mounts
cat /proc/self/mountinfo

section devices
for path in /dev/* /dev/pts/*; do stat -c '%n %A %u:%g %t:%T %N' "$path"; done

section limits
cat /proc/self/limits

section environment
env

section cgroups
cat /proc/self/cgroup
ls -1 /sys/fs/cgroup
for file in \
    memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.swappiness \
    memory/memory.soft_limit_in_bytes memory/memory.oom_control pids/pids.max cpu/cpu.shares \
    cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems \
    memory.max memory.swap.max memory.high memory.low pids.max cpu.max cpu.weight cpuset.cpus
do
    if [ -e "/sys/fs/cgroup/$file" ]; then echo "$file" $(cat "/sys/fs/cgroup/$file"); fi
done
if [ -e /sys/fs/cgroup/devices ]; then sed 's/^/device /' /sys/fs/cgroup/devices/devices.list; fi

section parameters
for file in \
    kernel/hostname kernel/domainname kernel/shmmax kernel/shmall kernel/msgmax kernel/sem \
    fs/mqueue/msg_max fs/mqueue/queues_max net/ipv4/ip_forward net/core/somaxconn \
    net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/conf/all/forwarding \
    net/ipv4/conf/lo/rp_filter net/ipv4/tcp_keepalive_time net/ipv6/conf/all/disable_ipv6
do
    echo "$file" $(cat "/proc/sys/$file" 2>&1)
done

section reading
for path in \
    /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats \
    /proc/sched_debug /proc/acpi /proc/asound /proc/scsi /proc/interrupts /proc/kallsyms \
    /sys/firmware /sys/devices/virtual/powercap /sys/kernel /sys/module
do
    if [ -d "$path" ]; then
        if [ "$(ls -A "$path" 2>&1)" ]; then echo "$path has entries"; else echo "$path is empty"; fi
    elif [ -e "$path" ]; then
        if [ "$(head -c1 "$path" 2>&1)" ]; then echo "$path has text"; else echo "$path is empty"; fi
    else
        echo "$path is not there"
    fi
done

section writing
for path in \
    /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward /proc/sys/vm/swappiness \
    /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/bus/x /proc/fs/x /proc/kcore \
    /proc/self/oom_score_adj /sys/kernel/x /sys/kernel/uevent_seqnum /sys/fs/cgroup/x \
    /x /dev/x /dev/shm/x /dev/mqueue/x /tmp/x /etc/x /etc/hosts /etc/hostname /etc/resolv.conf
do
    said=$( (: >>"$path") 2>&1) && echo "$path can be written" || echo "$path: ${said##*: }"
done

section deeds
try() { said=$("$@" 2>&1) && echo "$1: done" || echo "$1: ${said##*: }"; }
try mount -t tmpfs none /mnt
try umount /proc
try mknod /tmp/null c 1 3
try mknod /tmp/loop b 7 0
try dd if=/tmp/loop of=/dev/null count=1
try chroot / true
try hostname other
try nice -n -5 true
try chown 1:1 /tmp/null
try ping -c 1 -W 1 127.0.0.1

section files
for path in \
    / /.dockerenv /etc /etc/hosts /etc/hostname /etc/resolv.conf /etc/mtab /proc /sys /dev \
    /dev/shm /dev/mqueue /run /tmp /root
do
    stat -c '%n %A %u:%g %N' "$path" 2>&1
done
sed 's/^/hostname: /' /etc/hostname
sed 's/^/hosts: /' /etc/hosts
sed 's/^/resolv.conf: /' /etc/resolv.conf
ls -A / | sed 's/^/root: /'

section process
for file in oom_score_adj timerslack_ns personality loginuid coredump_filter; do
    echo "$file" $(cat "/proc/self/$file" 2>&1)
done
echo command $(tr '\0' ' ' </proc/1/cmdline | cut -d' ' -f1-2)
echo group, session and terminal $(cut -d' ' -f5-7 /proc/1/stat)
echo priority, nice, real-time and policy $(cut -d' ' -f18,19,40,41 /proc/1/stat)
echo directory $(pwd)
for number in 0 1 2; do
    if [ -t $number ]; then echo stream $number terminal
    else echo stream $number $(stat -L -c %F /proc/1/fd/$number); fi
done
grep -iE '(cpus|mems)_allowed_list' /proc/self/status

section namespaces
for name in cgroup ipc mnt net pid time user uts; do readlink "/proc/self/ns/$name"; done
