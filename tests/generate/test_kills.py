"""`apu generate`, killed at random moments: a restart ends with the records of an undisturbed line.

How many kills: ``APU_KILLS``; which: ``APU_SEED``; a file that gets tallies as lines of JSON: ``APU_TALLY``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from line_kills import FAILED, Tally, descendants, files_of, in_child, operations, sigkill, stage_of
from line_setup import answering, content, options, photos
from synthetic_photos import AnswerServer

from apu_losses.dataset import verify
from apu_losses.generate.line.run import generate

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and looks into /proc"),
]
IMAGES, PER_SHARD = 3, 2
"""The smallest line with two images in a batch and with two shards."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("kills") / "rendered"
    return folder, photos(folder, IMAGES)


@pytest.fixture(scope="module")
def server(made: tuple[Path, list[str]]) -> Iterator[AnswerServer]:
    with answering(made[1]) as running:
        yield running


@pytest.fixture(scope="module")
def calm(made: tuple[Path, list[str]], server: AnswerServer) -> Path:
    out = made[0].parent / "calm"
    assert line(made[0], out, server)()
    return out


def line(folder: Path, out: Path, server: AnswerServer, **more: object) -> Callable[[], bool]:
    def work() -> bool:
        done = generate([folder], out, options(folder, server.url), images_per_shard=PER_SHARD, **more)  # type: ignore[arg-type]
        return done.whole and not done.unfinished

    return work


def wanted(default: int) -> int:
    return int(os.environ.get("APU_KILLS", default))


def disturb(
    tmp_path: Path,
    calm: Path,
    server: AnswerServer,
    kills: int,
    attempt: Callable[[Path, Tally, random.Random], bool],
    name: str,
    asking: int = 2,
) -> Tally:
    """Let lines be killed until there were so many kills; hold each that ends against the undisturbed one.

    Args:
        attempt: works on a data set, and counts its kills; returns whether it ended undisturbed.
        asking: questions that may be with the server when a process dies: those alone are asked twice.
    """
    seed = int(os.environ.get("APU_SEED", "17"))
    rng, tally, asked = random.Random(f"{name} {seed}"), Tally(), server.asked
    truth, names = content(calm), files_of(calm)
    while tally.kills < kills:
        out = tmp_path / f"out-{tally.rounds}"
        while not attempt(out, tally, rng):
            pass
        tally.rounds += 1
        tally.asked, tally.needed = server.asked - asked, tally.rounds * IMAGES
        tally.other_records += content(out) != truth or bool(verify(out))
        tally.left_over.update(set(files_of(out)) - set(names))
        print(f"{name}: {tally.to_dict()}", flush=True)
    if "APU_TALLY" in os.environ:
        with Path(os.environ["APU_TALLY"]).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"kind": name, "seed": seed, **tally.to_dict()}) + "\n")
    assert tally.other_records == 0 and not tally.left_over
    assert tally.needed <= tally.asked <= tally.needed + asking * tally.kills
    return tally


def test_kills_at_random_moments(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    began = time.perf_counter()
    assert in_child(line(made[0], tmp_path / "timed", server)) == 0
    took = time.perf_counter() - began
    kills = wanted(10)

    def attempt(out: Path, tally: Tally, rng: random.Random) -> bool:
        lasts = rng.uniform(0, took) if tally.kills < kills else None
        status = in_child(line(made[0], out, server), after=sigkill, lasts=lasts)
        return counted(status, out, tally)

    disturb(tmp_path, calm, server, kills, attempt, "at a random moment")


def test_kills_between_operations_on_files(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    """Moments in which something is half there are short; here every one of them is as likely."""
    many = operations(line(made[0], tmp_path / "counted", server))
    assert many > 100
    kills = wanted(10)

    def attempt(out: Path, tally: Tally, rng: random.Random) -> bool:
        before = rng.randrange(many) if tally.kills < kills else None
        return counted(in_child(line(made[0], out, server), die_before=before), out, tally)

    disturb(tmp_path, calm, server, kills, attempt, "before a random change of a file")


def counted(status: int, out: Path, tally: Tally) -> bool:
    """Count a kill; whether the child ended undisturbed, and then with a whole data set."""
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        tally.kills += 1
        tally.at[stage_of(out)] += 1
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def test_kills_of_two_processes_and_of_who_gives_them_work(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    """Workers begin anew in each line, which costs seconds: few kills by default."""
    began = time.perf_counter()
    work = line(made[0], tmp_path / "timed", server, processes=2)
    assert in_child(work) == 0
    took, kills = time.perf_counter() - began, wanted(4)

    def attempt(out: Path, tally: Tally, rng: random.Random) -> bool:
        worker = rng.random() < 0.5
        struck: list[int] = []

        def strike(child: int) -> None:
            chosen = rng.choice(descendants(child, "spawn_main") or [child]) if worker else child
            struck.append(chosen)
            tally.at[f"{'a worker' if chosen != child else 'the first process'}, {stage_of(out)}"] += 1
            sigkill(chosen)

        lasts = rng.uniform(0, took) if tally.kills < kills else None
        status = in_child(
            line(made[0], out, server, processes=2), after=strike if lasts else None, lasts=lasts
        )
        tally.kills += len(struck)
        if os.WIFSIGNALED(status):
            return False
        # what a killed worker had in its hands is begun again by another, so the line ends whole
        assert os.WEXITSTATUS(status) == 0
        return True

    disturb(tmp_path, calm, server, kills, attempt, "two processes", asking=4)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Ray cluster of this machine; gives the id of the process that its workers come of."""
    pytest.importorskip("ray", reason="the extra [ray]")
    place = Path("/tmp") / f"apu-ray-{os.getpid()}"  # paths of sockets must be short
    # a cluster asks for a token that it writes when it begins, too late for who imported Ray before
    authorised = os.environ.get("RAY_AUTH_MODE")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    code = (
        "import ray, sys\n"
        "found = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, "
        f"_temp_dir={str(place)!r}, object_store_memory=100_000_000)\n"
        "print(found.address_info['gcs_address'], flush=True)\n"
        "sys.stdin.read()\n"
    )
    paths = os.pathsep.join(p for p in sys.path if p)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as head:
        assert head.stdin is not None and head.stdout is not None
        address = ""
        while address.count(":") != 1 or " " in address:
            address = head.stdout.readline().strip()
            assert head.poll() is None
        before = os.environ.get("RAY_ADDRESS")
        os.environ["RAY_ADDRESS"] = address
        yield head.pid
        if before is None:
            del os.environ["RAY_ADDRESS"]
        else:
            os.environ["RAY_ADDRESS"] = before
        if authorised is None:
            del os.environ["RAY_AUTH_MODE"]
        else:
            os.environ["RAY_AUTH_MODE"] = authorised
        head.stdin.close()
        head.wait(60)


def test_kills_with_ray(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path, cluster: int
) -> None:
    """Actors and the process that hands out work are killed in turn; both begin anew in each line."""
    began = time.perf_counter()
    work = line(made[0], tmp_path / "timed", server, processes=2, backend="ray")
    assert in_child(work) == 0
    assert content(tmp_path / "timed") == content(calm)
    took, kills = time.perf_counter() - began, wanted(4)

    def attempt(out: Path, tally: Tally, rng: random.Random) -> bool:
        actor = rng.random() < 0.5
        struck: list[int] = []

        def strike(child: int) -> None:
            found = descendants(cluster, "ray::ShardActor") if actor else []
            chosen = rng.choice(found) if found else child
            struck.append(chosen)
            tally.at[f"{'an actor' if found else 'the first process'}, {stage_of(out)}"] += 1
            sigkill(chosen)

        lasts = rng.uniform(0, took) if tally.kills < kills else None
        work = line(made[0], out, server, processes=2, backend="ray")
        status = in_child(work, after=strike if lasts else None, lasts=lasts)
        tally.kills += len(struck)
        if os.WIFSIGNALED(status):
            return False
        # actors of a driver that was killed may hold a shard for a moment: the next line is not whole then
        assert os.WEXITSTATUS(status) in (0, FAILED)
        if os.WEXITSTATUS(status) == FAILED:
            tally.at["(a line that found a shard in other hands)"] += 1
            time.sleep(1)
        return os.WEXITSTATUS(status) == 0

    disturb(tmp_path, calm, server, kills, attempt, "Ray, two actors", asking=4)
