"""The machine that a benchmark ran on, and what disturbs it."""
import contextlib
import datetime
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = ("tgt", "istgt", "libiscsi-bin", "qemu-utils")
SPIN = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile os.getppid() == {parent}: pass"


@contextlib.contextmanager
def awake(wanted):
    """Keeps the cores from halting by processes of the idle class, which take nothing from whoever wants to run."""
    code = SPIN.format(parent=os.getpid())
    spinners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(os.cpu_count() if wanted else 0)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def children_cpu():
    """CPU seconds of the processes that this program started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def facts():
    """What has to stand beside a figure: machine, kernel, date, commit, versions."""
    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpu)
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output("git", "-C", str(ROOT), "rev-parse", "HEAD"),
        "modified": bool(output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")),
        "kernel": os.uname().release, "system": system[1] if system else None,
        "cpu": model[1] if model else None, "cpus": os.cpu_count(), "virtual": "hypervisor" in cpu,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "load_average": os.getloadavg(),
        "packages": {name: output("dpkg-query", "-W", "-f", "${Version}", name) for name in PACKAGES},
    }


def output(*command):
    """What a program prints; None when it is not there or fails."""
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def file_system(path):
    """The type of the file system that holds `path`."""
    return output("stat", "-f", "-c", "%T", str(path))
