"""Damaged files, read in a process with little memory and time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CHILD = """
import resource, signal, sys, warnings
from pathlib import Path
limit = int(sys.argv[4]) << 20
sys.path.insert(0, sys.argv[1])
import importlib
from mutants import mutants
FILES = importlib.import_module(sys.argv[6]).FILES
warnings.simplefilter("ignore")
folder, seed, count = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])
for name, (ending, data, read) in FILES.items():
    path = folder / f"whole.{ending}"
    path.write_bytes(data)
    read(path)  # the whole file is read
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
bad = 0
for name, (ending, data, read) in FILES.items():
    for number, mutant in enumerate(mutants(data, ending, seed, count)):
        path = folder / f"mutant.{ending}"
        path.write_bytes(mutant)
        signal.alarm(60)  # ends the process: a reader that hangs is a failure
        try:
            read(path)
        except (ValueError, FileNotFoundError) as error:
            if type(error).__module__.startswith(("zipfile", "json", "numpy")) or not str(error):
                bad += 1
                print(name, number, "foreign:", repr(error)[:200])
        except BaseException as error:
            bad += 1
            print(name, number, repr(error)[:200])
        signal.alarm(0)
print("bad", bad)
"""


def run_mutants(folder: Path, seed: int, count: int, module: str = "mutants") -> str:
    """What became of ``count`` mutants of each file of a helper module, read in a process of its own."""
    arguments = (Path(__file__).parent, folder, seed, 1024, count, module)
    command = [sys.executable, "-c", _CHILD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
