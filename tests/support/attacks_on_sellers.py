"""What jobs try against the machine that runs them, in the shell of a busybox: the same programs in any runner."""

from tests.support.job_sleeps import sleeping

SLEEP = sleeping(77)

LOOKS = {
    "files": """
        cat /etc/shadow "$KEY" "$DATABASE" ../order.json ../log /proc/1/root"$KEY" /proc/1/cwd/key
        ls "$JOBS" /root /proc/1/root/root
        cp "$KEY" stolen; ln "$KEY" hard; find / -name order.json -o -name database | grep -v ^/proc/
        cat /proc/1/root/etc/shadow /proc/*/root/etc/shadow
    """,
    "environment": "env; cat /proc/*/environ | tr '\\0' '\\n'; cat /proc/*/cmdline | tr '\\0' ' '",
    "sockets": """
        cat /proc/net/unix; find / -type s | grep -v ^/proc/
        ls "$SOCKET"; busybox nc -w 1 127.0.0.1 "$PORT" < /dev/null && echo reached the seller
    """,
    "network": """
        grep : /proc/net/dev | cut -d: -f1; cat /proc/net/route; busybox nc -w 1 1.1.1.1 53 < /dev/null && echo out
        printf 'GET /latest/meta-data/ HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 1 169.254.169.254 80 && echo metadata
    """,
    "rights": """
        grep -E '^(Uid|Cap|NoNewPrivs)' /proc/self/status
        cp /bin/busybox busybox; chmod 4755 busybox; ./busybox id -u; ./busybox su -c id
    """,
    "system": """
        for file in /bin/x /usr/x /etc/x /x /dev/x /sys/x /proc/sys/kernel/core_pattern /proc/sysrq-trigger \\
            /proc/sys/kernel/hostname /proc/irq/default_smp_affinity /sys/kernel/uevent_helper \\
            /sys/fs/cgroup/memory/release_agent
        do (: >> $file) && echo opened $file; done
        busybox mount -t tmpfs none /mnt && echo mounted; busybox mount -o remount,rw / && echo remounted
        mknod disk b 8 0 && echo made a device; head -c 1 /dev/mem && echo read memory
        busybox unshare -r true && echo made a namespace; busybox chroot / true && echo changed root
        ls /dev | tr '\\n' ' '
    """,
    "memory files": """
        for folder in /tmp /dev/shm /var/tmp /run /home /dev /data
        do busybox fallocate -l 400000000 $folder/x && echo all in $folder; done
    """,
    "processes": """
        ls /proc | grep -c '^[0-9]'
        kill -9 "$SELLER"; kill -STOP "$SELLER"; cat /proc/"$SELLER"/maps /proc/"$SELLER"/mem
        echo "names: $(cat /proc/*/comm | sort | uniq | tr '\\n' ' ')"
        kill -9 -1; kill -9 1; kill -STOP 1; echo; echo lives
    """,
}
"""Attacks that only look, by what they look for: all in one job."""


def looking() -> str:
    return "exec 2>&1\n" + "\n".join(f"echo; echo '== {name}'\n{script}" for name, script in LOOKS.items())


WAIT = "trap 'exit 0' TERM; sleep 77 & wait"
FORKS = f"i=0; while [ $i -lt 300 ]; do sleep 77 & i=$((i+1)); echo $i > forked; done; echo all; {WAIT}"
MEMORY = "i=0; while [ $i -lt 8 ]; do busybox dd if=/dev/zero of=/dev/null bs=24M count=100000 & i=$((i+1)); done; wait"
DISK = f"dd if=/dev/zero of=big bs=1M count=60; {WAIT}"
UNLINKED = f"exec 3> big; rm big; dd if=/dev/zero bs=1M count=60 >&3; {WAIT}"
MANY_FILES = f"mkdir m; i=0; while [ $i -lt 1500 ]; do echo > m/$i; i=$((i+1)); done; {WAIT}"
LOG = "yes 'a line of a flood that is written as fast as it goes, and a little faster than that'"
MANIFEST = """
    dd if=/dev/zero of=large bs=1M count=6; i=0; while [ $i -lt 999 ]; do echo > o$i; i=$((i+1)); done
    mkdir c; i=0; while [ $i -lt 10500 ]; do echo > c/$i; i=$((i+1)); done; echo {} > c/progress.json
"""
SURVIVORS = f"""
    trap '' TERM HUP INT
    setsid sh -c 'trap "" TERM HUP; ({SLEEP} &); {SLEEP}' &
    nohup sh -c 'trap "" TERM; while :; do {SLEEP}; done' &
    (setsid sh -c '(setsid {SLEEP} &) &' &)
    while :; do {SLEEP}; done
"""
LINKS = """
    ln -s "$KEY" link; ln -s / root; mkfifo fifo; ln "$KEY" hard; mknod device c 1 5; echo good > good
    ln -s "$KEY" metrics.jsonl; mkdir c folder; ln -s "$KEY" c/link; ln -s / c/root; mkfifo c/fifo; echo twice > c/a
    ln c/a c/b; echo w > c/w; echo '{}' > c/progress.json
"""
METRICS = """
    i=0; while [ $i -lt 50 ]; do echo '{"step": '$i'}'; i=$((i+1)); done > metrics.jsonl
    mkdir c; echo '{"fraction": 0.9}' > c/progress.json; while [ ! -e go ]; do sleep 0.05; done
    echo '{"step": 1e999, "loss": "x"}' > metrics.jsonl; echo '{"step": 3}' >> metrics.jsonl
    rm -r c; echo '{"fraction": -1}' > c
"""
LOADER = {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": "./trace", "LD_PRELOAD": "./e.so"}
"""Has each dynamic program that gets them say so into the job's folder: outside too, where LD_PRELOAD would run."""
