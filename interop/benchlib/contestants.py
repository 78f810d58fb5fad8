"""Who takes part: iscsicored on its runtimes, tgt, istgt, each on the same kind of store."""
import dataclasses
import pathlib
import subprocess
import sys

import istgt
import peers

from . import machine

SERVERS = {"iscsicored-tokio": "tokio", "iscsicored-glommio": "glommio", "tgt": None, "istgt": None}
ECHOES = {"echo-std": "std", "echo-tokio": "tokio", "echo-glommio": "glommio"}
DEFAULT = ("iscsicored-tokio", "iscsicored-glommio", "tgt", "istgt", "echo-tokio", "echo-glommio")
SMOKE = tuple(name for name in DEFAULT if name != "istgt")  # which takes a second for each login and logout


@dataclasses.dataclass
class Places:
    """Where files live: in memory, and on a real file system."""

    memory: pathlib.Path
    disk: pathlib.Path


class Abilities:
    """What this iscsicored can, by its --help."""

    def __init__(self, binary):
        self.text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout

    def runtimes(self):
        """A server without --runtime runs on tokio."""
        return ("tokio", "glommio") if "--runtime" in self.text and "glommio" in self.text else ("tokio",)

    def shards(self):
        return "--shards" in self.text

    def direct(self):
        return "direct:" in self.text

    def arguments(self, runtime, shards):
        """Arguments that choose a runtime; nothing for a server that knows one only."""
        chosen = ["--runtime", runtime] if "--runtime" in self.text else []
        has_shards = runtime != "tokio" and self.shards()
        return chosen + (["--shards", str(shards)] if shards and has_shards else [])


def present(names, abilities, asked):
    """The names that can take part. What was asked for by name and is not there ends the program."""
    left_out = {name: f"{peers.Iscsicored.path or peers.default_binary()} knows no --runtime {runtime}"
                for name, runtime in SERVERS.items() if runtime and runtime not in abilities.runtimes()}
    if not asked:  # an echo without its server says little
        left_out |= {name: f"iscsicored-{runtime} is left out" for name, runtime in ECHOES.items() if f"iscsicored-{runtime}" in left_out}
    for name in [name for name in names if name in left_out]:
        if asked:
            sys.exit(f"{name}: {left_out[name]}")
        print(f"left out: {name}: {left_out[name]}", flush=True)
    return [name for name in names if name not in left_out]


def takes_part(name, store, abilities):
    """Whether it can serve such a store, or for an echo: whether it says something about it."""
    if name in ECHOES:
        return store == "memory"
    if store == "direct":
        return name == "tgt" or name == "iscsicored-glommio" and abilities.direct()
    return True


def target(name, store, size, places, abilities, shards=None):
    """The server of that name, not yet started. `memory` is iscsicored's own; the others have a file in RAM instead."""
    runtime = SERVERS[name]
    folder = places.memory if store == "memory" else places.disk
    path = None if runtime and store == "memory" else str(folder / f"{name}.disk")
    if path:
        pathlib.Path(path).unlink(missing_ok=True)
    disk = peers.Disk(size, path=path, direct=store == "direct")
    if runtime:
        return peers.Iscsicored([disk], arguments=abilities.arguments(runtime, shards))
    return {"tgt": peers.Tgt, "istgt": istgt.Istgt}[name]([disk])


def is_real(folder):
    """Whether a folder is on a file system with a page cache of its own and O_DIRECT."""
    return machine.file_system(folder) not in ("tmpfs", "ramfs")
