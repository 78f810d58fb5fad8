#!/usr/bin/env python3
"""Starts and stops the iSCSI targets that the interop scripts talk to: our iscsicored, our example in C, or Debian's tgt.

A target listens on 127.0.0.1 on a port that the system chose, keeps its disks and logs in a directory of its own,
and is ended by the id of the process that was started. Run as a program it starts one target and waits:

    interop/peers.py --target tgt --size 64M         prints the URL of each disk; Ctrl-C stops it
"""
import argparse
import dataclasses
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET_NAME = "iqn.2026-01.dev.iscsicore:disk0"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
TICK = os.sysconf("SC_CLK_TCK")


class TargetFailed(Exception):
    """A target did not start, died, or did not stop when asked."""


@dataclasses.dataclass
class Disk:
    """One logical unit. `path` None: the target's own memory (tgt: a new file in the target's directory)."""

    size: int = 64 << 20
    path: str | None = None
    read_only: bool = False
    block_size: int = 512
    direct: bool = False  # past the page cache, with O_DIRECT; istgt cannot


@dataclasses.dataclass
class Chap:
    """CHAP accounts: the initiator proves `user`/`secret`; with `mutual_user` the target proves that one."""

    user: str
    secret: str
    mutual_user: str | None = None
    mutual_secret: str | None = None
    algorithms: tuple = ()  # what iscsicored takes, such as ("sha256",); the others cannot be told


class Target:
    """A running target. Use as a context manager; leaving it checks that the process lived until then."""

    kind = "?"
    ours = False  # whether the protocol in it is ours: then every check holds
    first_lun = 0
    binary = ""

    def __init__(self, disks=None, chap=None, digests=False, base="/dev/shm", arguments=(), keys=None, others=0):
        self.disks = list(disks or [Disk()])
        self.chap = chap
        self.digests = digests  # tgt has to be told to agree to digests; iscsicored agrees to what it is asked for
        self.keys = dict(keys or {})  # what it offers in negotiation, by the names of RFC 7143: InitialR2T="Yes"
        self.others = others  # further targets, each with one small disk, for discovery
        self.arguments = list(arguments)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="iscsicore-interop-", dir=base))
        self.log_path = self.directory / "log"
        self.process = None
        self.port = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind, value, trace):
        died = self.crashed()
        log = self.log() if died or kind else ""
        try:
            if not died:
                self.stop()
        finally:
            self.remove()
        if died and kind is None:
            raise TargetFailed(f"{self.kind} ended by itself: {died}\n{log}")
        if kind is not None and log:
            print(f"--- last lines of {self.kind}'s log ---\n{log[-3000:]}", file=sys.stderr)
        return False

    def start(self):
        """Starts the process and returns when it accepts connections; tries another port when that one was taken."""
        for attempt in range(3):
            self.port = free_port()
            try:
                self.launch()
                return
            except TargetFailed:
                if attempt == 2 or "in use" not in self.log():
                    raise

    def launch(self):
        """Starts the process on the port that was chosen and waits until it serves."""
        self.write_configuration()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(), start_new_session=True)
        try:
            self.wait_until_ready()
        except BaseException:
            if self.process.poll() is None:
                self.kill()
            raise

    def restart(self, pause=0.0):
        """SIGKILL, and the same target again on the same port and the same disks, `pause` seconds later."""
        self.kill()
        time.sleep(pause)
        self.launch()

    def wait_until_ready(self, limit=15.0):
        """Waits until a TCP connect to the portal works."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise TargetFailed(f"{self.kind} ended at start: {describe_exit(self.process.returncode)}\n{self.log()}")
            if self.accepts():
                return
            time.sleep(0.02)
        raise TargetFailed(f"{self.kind} does not listen on port {self.port} after {limit} s\n{self.log()}")

    def accepts(self):
        """Whether the portal takes a TCP connection."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
            return True
        except OSError:
            return False

    def crashed(self):
        """How the process ended although nobody stopped it, or that it panicked; None while it is well (or was stopped)."""
        if "panicked at" in self.log():
            return "a panic, see the log"
        if self.process is None or self.process.poll() is None:
            return None
        return describe_exit(self.process.returncode)

    def stop(self, limit=10.0):
        """Asks the process to end, and fails when it does not within `limit` seconds."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                self.kill()
                raise TargetFailed(f"{self.kind} ignored SIGTERM for {limit} s\n{self.log()[-2000:]}") from None
        code, self.process = self.process.returncode, None
        if code not in (0, -signal.SIGTERM):
            raise TargetFailed(f"{self.kind} was asked to end, and ended with {describe_exit(code)}\n{self.log()[-2000:]}")

    def kill(self):
        """Ends the process with SIGKILL: no chance to tidy up."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        self.process = None

    def remove(self):
        """Removes the directory with logs and disks, ending the process first if it still runs."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_seconds(self):
        """User and system time that all threads of the process have used so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / TICK, int(fields[12]) / TICK

    def log(self):
        """What the process printed."""
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""

    def lun(self, index=0):
        """The LUN of the disk with this index."""
        return self.first_lun + index

    def portal(self):
        """The address as host:port."""
        return f"127.0.0.1:{self.port}"

    def url(self, index=0, login="", port=None):
        """The iscsi:// URL of a disk; `login` is user%secret."""
        at = f"{login}@" if login else ""
        return f"iscsi://{at}127.0.0.1:{port or self.port}/{TARGET_NAME}/{self.lun(index)}"

    def other_name(self, index):
        """The name of one of the further targets: long, as those of real arrays are."""
        return f"iqn.2026-01.dev.iscsicore.interop:another-target-with-a-long-name-{index:04}"

    def names(self):
        """The names of all targets that discovery has to report."""
        return {TARGET_NAME, *(self.other_name(index) for index in range(self.others))}

    def environment(self):
        return dict(os.environ)

    def write_configuration(self):
        """Writes what the process reads at start; nothing by default."""

    def command(self):
        raise NotImplementedError


class Tgt(Target):
    """tgtd in the foreground with a control socket of its own, tuned beyond its defaults. Its data LUNs start at 1."""

    kind = "tgt"
    first_lun = 1
    binary = "tgtd"
    tuning = {
        "MaxRecvDataSegmentLength": 262144, "MaxXmitDataSegmentLength": 262144, "FirstBurstLength": 262144,
        "MaxBurstLength": 1048576, "MaxOutstandingR2T": 16, "InitialR2T": "No", "ImmediateData": "Yes",
    }

    def command(self):
        return [find("tgtd"), "-f", "-C", "1", "--iscsi", f"portal=127.0.0.1:{self.port}", *self.arguments]

    def environment(self):
        return dict(os.environ, TGT_IPC_SOCKET=str(self.directory / "control"))

    def wait_until_ready(self, limit=15.0):
        super().wait_until_ready(limit)
        self.admin("target", "new", "--targetname", TARGET_NAME)
        for key, value in {**self.tuning, **self.keys}.items():
            self.admin("target", "update", "--name", key, "--value", str(value))
        for key in ("HeaderDigest", "DataDigest") if self.digests else ():
            self.admin("target", "update", "--name", key, "--value", "CRC32C,None")
        for index, disk in enumerate(self.disks):
            self.add(index, disk)
        if self.chap:
            self.account(self.chap.user, self.chap.secret)
            if self.chap.mutual_user:
                self.account(self.chap.mutual_user, self.chap.mutual_secret, "--outgoing")
        self.admin("target", "bind", "-I", "ALL")
        for index in range(self.others):  # without a disk: LUN 0, the controller, is always there
            name = ("--targetname", self.other_name(index))
            self.admin("target", "new", "--tid", str(index + 2), *name, tid=False)
            self.admin("target", "bind", "--tid", str(index + 2), "-I", "ALL", tid=False)

    def stop(self, limit=10.0):
        """tgtd ignores SIGTERM while it has a target, so SIGKILL it is."""
        self.kill()

    def add(self, index, disk):
        path = disk.path or str(self.directory / f"disk{index}")
        make_file(path, disk.size)
        lun = str(self.lun(index))
        direct = ["--bsoflags", "direct"] if disk.direct else []
        self.admin("logicalunit", "new", "--lun", lun, "-b", path, "--blocksize", str(disk.block_size), *direct)
        self.admin("logicalunit", "update", "--lun", lun, "--params", f"thin_provisioning=1,readonly={int(disk.read_only)}")

    def account(self, user, secret, *how):
        self.admin("account", "new", "--user", user, "--password", secret, tid=False)
        self.admin("account", "bind", "--user", user, *how)

    def admin(self, mode, op, *more, tid=True):
        command = [find("tgtadm"), "-C", "1", "--lld", "iscsi", "--mode", mode, "--op", op, *(["--tid", "1"] if tid else []), *more]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=20)
        if done.returncode:
            raise TargetFailed(f"{' '.join(command)}: {done.stdout}{done.stderr}\n{self.log()}")


class Iscsicored(Target):
    """Our server: plain disks by command line arguments, everything else by a generated configuration file."""

    kind = "iscsicored"
    ours = True
    binary = "iscsicored"
    path = None
    always = ()  # arguments of every start
    parameters = {
        "MaxBurstLength": "max_burst_length", "FirstBurstLength": "first_burst_length",
        "MaxRecvDataSegmentLength": "max_recv_data_segment_length", "MaxOutstandingR2T": "max_outstanding_r2t",
        "InitialR2T": "initial_r2t", "ImmediateData": "immediate_data", "HeaderDigest": "header_digest", "DataDigest": "data_digest",
    }

    def command(self):
        program = [self.path or default_binary(), *self.always]
        if self.needs_file():
            return [*program, "--config", str(self.directory / "iscsicored.toml"), *self.arguments]
        disks = [part for index, disk in enumerate(self.disks) for part in ("--disk", self.disk_argument(index, disk))]
        return [*program, "--listen", self.portal(), *disks, *self.arguments]

    def needs_file(self):
        return bool(self.chap or self.keys or self.others) or any(disk.read_only or disk.block_size != 512 for disk in self.disks)

    def disk_argument(self, index, disk):
        if disk.path is None:
            return f"memory:{disk.size}"
        return ("direct:" if disk.direct else "") + f"{disk.path}:{disk.size}"

    def write_configuration(self):
        for disk in self.disks:
            if disk.path:
                make_file(disk.path, disk.size)
        if self.needs_file():
            path = self.directory / "iscsicored.toml"
            path.write_text(self.configuration())
            path.chmod(0o600)

    def configuration(self):
        """The configuration as TOML; the only place that knows its keys."""
        lines = ["[[portal]]", f'address = "{self.portal()}"', "", "[[target]]", f'name = "{TARGET_NAME}"']
        if self.chap:
            lines += ["", "[target.chap]", f'accounts = [{{ name = "{self.chap.user}", secret = "{self.chap.secret}" }}]']
            if self.chap.mutual_user:
                lines.append(f'mutual = {{ name = "{self.chap.mutual_user}", secret = "{self.chap.mutual_secret}" }}')
            if self.chap.algorithms:
                lines.append(f"algorithms = {toml_value(self.chap.algorithms)}")
        if self.keys:
            lines += ["", "[target.parameters]", *(f"{self.parameters[key]} = {toml_value(value)}" for key, value in self.keys.items())]
        for index, disk in enumerate(self.disks):
            lines += ["", "[[target.lun]]", f"number = {self.lun(index)}", f'path = "{disk.path}"' if disk.path else "memory = true"]
            lines += [f"size = {disk.size}", f"block_size = {disk.block_size}", f"read_only = {str(disk.read_only).lower()}"]
            lines += ["direct = true"] if disk.direct else []
        for index in range(self.others):
            lines += ["", "[[target]]", f'name = "{self.other_name(index)}"', "", "[[target.lun]]", "number = 0", "memory = true", "size = 65536"]
        if self.chap:
            lines += ["", "[discovery.chap]", f'accounts = [{{ name = "{self.chap.user}", secret = "{self.chap.secret}" }}]']
        return "\n".join(lines) + "\n"


class CTarget(Target):
    """The example in C, examples/c/target_epoll: everything by command line arguments, secrets in files."""

    kind = "c"
    ours = True
    binary = "target_epoll"
    path = None

    def command(self):
        program = [*c_wrapper(), self.path or c_example("target_epoll"), "--listen", self.portal()]
        for option, account in (("--account", "user"), ("--mutual", "mutual_user")):
            if self.chap and getattr(self.chap, account):
                program += [option, f"{getattr(self.chap, account)}:{self.directory / account}"]
        for algorithm in self.chap.algorithms if self.chap else ():
            program += ["--chap-algorithm", algorithm]
        for key, value in self.keys.items():
            program += ["--offer", f"{key}={value}"]
        program += ["--target", TARGET_NAME]
        for disk in self.disks:
            if disk.direct:
                raise TargetFailed("the example in C has no O_DIRECT")
            program += ["--read-only"] * disk.read_only + ["--block-size", str(disk.block_size)]
            program += ["--disk", f"{disk.path or 'memory'}:{disk.size}"]
        for index in range(self.others):
            program += ["--target", self.other_name(index), "--disk", "memory:65536"]
        return [*program, *self.arguments]

    def write_configuration(self):
        for disk in self.disks:
            if disk.path:
                make_file(disk.path, disk.size)
        secrets = {"user": self.chap.secret, "mutual_user": self.chap.mutual_secret} if self.chap else {}
        for name, secret in secrets.items():
            if secret:
                (self.directory / name).write_text(secret + "\n")


def toml_value(value):
    """A value of a key or a list of words as TOML has it."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    words = {"Yes": "true", "No": "false", "None": '"none"', "CRC32C": '"crc32c"', "CRC32C,None": '"prefer-crc32c"'}
    return words.get(value, str(value))


KINDS = {"iscsicored": Iscsicored, "c": CTarget, "tgt": Tgt}


def add_arguments(parser, default="iscsicored"):
    """Adds --target and --binary, understood by `chosen`."""
    parser.add_argument("--target", choices=sorted(KINDS), default=default, help=f"which target to start (default {default})")
    parser.add_argument("--binary", help="path of our target (default: $ISCSICORED, or target/release/iscsicored; $ISCSICORE_C_EXAMPLES/target_epoll, or examples/c/target_epoll)")
    parser.add_argument("--runtime", choices=("glommio", "tokio", "auto"), help="what iscsicored runs on (default: what it takes by itself)")


def chosen(options):
    """The class of the target that the arguments name; ends the program with a clear message when it is not there."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that targets are stopped when this program is
    kind = KINDS[options.target]
    if options.binary:
        (CTarget if kind is CTarget else Iscsicored).path = options.binary
    if getattr(options, "runtime", None):
        Iscsicored.always = ("--runtime", options.runtime)
    if kind is Iscsicored and not os.access(Iscsicored.path or default_binary(), os.X_OK):
        sys.exit(f"{Iscsicored.path or default_binary()} is missing: cargo build --release -p iscsicored")
    if kind is CTarget and not os.access(CTarget.path or c_example("target_epoll"), os.X_OK):
        sys.exit(f"{CTarget.path or c_example('target_epoll')} is missing: make -C examples/c (see examples/c/README.md)")
    if kind is Tgt:
        find("tgtd")
    return kind


def default_binary():
    """Where cargo puts the release build of iscsicored."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return os.environ.get("ISCSICORED") or str(ROOT / target / "release" / "iscsicored")


def c_example(program):
    """Where an example in C is: where its Makefile puts it, or where ISCSICORE_C_EXAMPLES says."""
    return str(pathlib.Path(os.environ.get("ISCSICORE_C_EXAMPLES", ROOT / "examples" / "c")) / program)


def c_wrapper():
    """The program that runs examples in C, such as valgrind, from ISCSICORE_C_WRAPPER."""
    return shlex.split(os.environ.get("ISCSICORE_C_WRAPPER", ""))


def find(program):
    """The path of a program, also in the sbin directories; ends the program when it is missing."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if not path:
        sys.exit(f"{program} is not installed (see interop/README.md for the list of packages)")
    return path


def run(*command, limit=60.0, environment=None, check=True):
    """Runs a program to its end; returns its CompletedProcess with stdout and stderr joined as text."""
    environment = dict(os.environ, **(environment or {}))
    done = subprocess.run(
        [find(command[0]), *map(str, command[1:])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", timeout=limit, env=environment)
    if check and done.returncode:
        raise subprocess.CalledProcessError(done.returncode, " ".join(map(str, command)) + "\n" + done.stdout[-2000:])
    return done


def make_file(path, size):
    """Creates a sparse file of this size unless it exists."""
    if not os.path.exists(path):
        with open(path, "wb") as file:
            file.truncate(size)


def free_port():
    """A TCP port on 127.0.0.1 that the system says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def describe_exit(code):
    """Words for a return code of subprocess."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def parse_size(text):
    """A number of bytes such as 4096, 64M or 1G."""
    unit = UNITS.get(text[-1:].upper())
    return int(text[:-1]) * unit if unit else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--size", type=parse_size, default=64 << 20, help="bytes of each disk (default 64M)")
    parser.add_argument("--disks", type=int, default=1, help="number of disks (default 1)")
    options = parser.parse_args()
    with chosen(options)([Disk(options.size) for _ in range(options.disks)]) as target:
        for index in range(options.disks):
            print(target.url(index), flush=True)
        try:
            while not target.crashed():
                time.sleep(0.2)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
