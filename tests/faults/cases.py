"""The catalogue: what is done to a run, and what must hold afterwards. Numbers R1 ... are the promises of the reliability page.

A case is a function (world, folder, rng) -> Outcome; it gets an empty folder and a seeded random generator.
"""

import dataclasses
import pathlib
import random
import shutil
import signal
import subprocess
import time

from faults.world import PROGRAM, Job, fingerprint, send


@dataclasses.dataclass
class Outcome:
    held: bool
    worst: float = 0.0  # the figure of the promise: seconds, unless its row says otherwise
    note: str = ""


RUN_S = 4.0  # about as long as an undisturbed run takes on 2 free cores
KILLS_PER_RUN = 5


def finish_and_compare(world, job, note=""):
    """Lets the run go on to its end: nothing may be lost, whatever happened before."""
    code = job.wait()
    if code != 0:
        return Outcome(False, note=f"{note}: the run that went on ended with {code}, see {job.run_dir}.log")
    same = fingerprint(pathlib.Path(job.run_dir)) == world.clean()
    return Outcome(same, note="" if same else f"{note}: the end differs from the undisturbed run's")


def killed_anywhere(world, folder, rng):
    """R1, R2: ranks or the launcher killed at random times, several times a run; then every step's loss and every byte are the same."""
    run = folder / "run"
    for _ in range(KILLS_PER_RUN):
        job = Job(world.train(run))
        job.sleep(rng.uniform(0.1, RUN_S))
        victims = [*job.ranks(), job.process.pid]
        send(rng.choice(victims), signal.SIGKILL)
        gone = job.gone_after(10)
        if gone is None:
            job.end()
            return Outcome(False, 10, "ranks remained 10 s after one was killed")
    return finish_and_compare(world, Job(world.train(run)), "killed")


def fail_at(text):
    return ["--allow-failpoints", f"--failpoint={text}"]


def killed_at_failpoint(number):
    def case(world, folder, rng):
        """R1 at a named place of the program, on one rank, at one of the first passes."""
        names = world.failpoints()
        name, rank = names[number % len(names)], rng.randrange(2)
        job = Job(world.train(folder / "run", more=fail_at(f"{name}:kill@{rng.choice([1, 1, 2, 3])}#{rank}")))
        code = job.wait()
        if code not in (0, 137) or job.gone_after(10) is None:  # 0: this rank does not pass there, or not so often
            return Outcome(False, note=f"{name}: exit {code}")
        return finish_and_compare(world, Job(world.train(folder / "run")), name)

    return case


def failed_save(world, folder, rng):
    """R14: a save in the background fails on one rank; all end with 74 at the next step, and nothing is lost."""
    name = rng.choice([n for n in world.failpoints() if n in ("save.before_shard", "save.before_sync_shard", "save.after_sync_shard")])
    job = Job(world.train(folder / "run", more=fail_at(f"{name}:fail@{rng.randrange(1, 9)}#{rng.randrange(2)}")))
    code = job.wait()
    if code != 74:
        return Outcome(False, note=f"{name}: exit {code}")
    return finish_and_compare(world, Job(world.train(folder / "run")), name)


def not_finite(world, folder, rng):
    """R11: a value of one rank becomes NaN; all ranks end, the rank is named, no committed checkpoint holds it, and the run goes on cleanly."""
    rank = rng.randrange(2)
    job = Job(world.train(folder / "run", more=fail_at(f"step.before_compute:nan@{rng.randrange(10, 120)}#{rank}")))
    code = job.wait()
    text = pathlib.Path(job.log.name).read_text(errors="replace")
    if code not in (64, 74) or "not finite" not in text:
        return Outcome(False, note=f"exit {code}: {tail(job.log.name)}")
    return finish_and_compare(world, Job(world.train(folder / "run")), "NaN")


def slow_rank(world, folder, rng):
    """R13: one rank slower than the other is named, the other is not."""
    rank = rng.randrange(2)
    job = Job(world.train(folder / "run", more=fail_at(f"step.before_compute:delay200@1+#{rank}") + ["--mutual.epochs=1", "--finetune.epochs=1"]))
    code = job.wait()
    text = pathlib.Path(job.log.name).read_text(errors="replace")
    return Outcome(code == 0 and f"rank {rank} is slow" in text and f"rank {1 - rank} is slow" not in text, note=f"exit {code}")


def crash_loop(world, folder, rng):
    """R19: the start after three that committed nothing is refused with 78."""
    for _ in range(3):
        code = Job(world.train(folder / "run", more=["--run.max_restarts=3", *fail_at("step.before_compute:kill@2#1")])).wait()
        if code != 137:
            return Outcome(False, note=f"exit {code} instead of 137")
    code = Job(world.train(folder / "run", more=["--run.max_restarts=3"])).wait()
    return Outcome(code == 78, note=f"exit {code}")


DEATHS = {"KILL": signal.SIGKILL, "SEGV": signal.SIGSEGV, "ABRT": signal.SIGABRT, "exit without MPI_Finalize": "exit", "OOM": None}


def dead_rank(how):
    def case(world, folder, rng):
        """R7: the others are gone within 5 s, the launcher fails, nothing is left in /dev/shm."""
        before = set(pathlib.Path("/dev/shm").iterdir())
        own = how == "exit without MPI_Finalize"  # it does so itself
        job = Job(world.train(folder / "run", ranks=3, more=fail_at(f"step.after_compute:exit@{rng.randrange(20, 90)}#1") if own else ()))
        if own:
            while len(job.ranks()) < 3 and job.running():
                time.sleep(0.005)
            while len(job.ranks()) == 3 and job.running():
                time.sleep(0.005)
        else:
            job.sleep(rng.uniform(0.5, RUN_S))
        ranks = job.ranks()
        if len(ranks) < 3 and not own:
            job.wait()
            return Outcome(True, note="over before the fault")
        victim = rng.choice(ranks) if ranks else 0
        if own:
            pass
        elif how == "OOM":  # no more memory from now on: the next allocation fails, or the kernel kills it
            subprocess.run(["prlimit", "--pid", str(victim), "--as=4096"], check=False)
        else:
            send(victim, DEATHS[how])
        gone = job.gone_after(30)
        if gone is None:
            job.end()
            return Outcome(False, 30, f"{how}: ranks remained")
        left = [p.name for p in set(pathlib.Path("/dev/shm").iterdir()) - before if "vader" in p.name or "osc" in p.name]
        code = job.wait()
        return Outcome(gone <= 5 and code != 0 and not left, gone, f"{how}: {gone:.1f} s, exit {code}, left {left}")

    return case


def signalled(world, folder, rng):
    """R6: USR1 or TERM to a rank, USR1 to the launcher, at any time, once or twice: committed, and exit 75 within 5 s; the run goes on."""
    run = folder / "run"
    worst = 0.0
    for _ in range(3):
        job = Job(world.train(run))
        job.sleep(rng.uniform(0.0, RUN_S))
        who = rng.choice(["launcher", "rank"])
        what = signal.SIGUSR1 if who == "launcher" else rng.choice([signal.SIGUSR1, signal.SIGTERM])
        ranks = job.ranks()
        if who == "rank" and len(ranks) < 2:
            who, what = "launcher", signal.SIGUSR1
        for _ in range(rng.choice([1, 2])):
            send(job.process.pid if who == "launcher" else rng.choice(ranks), what)
            time.sleep(rng.uniform(0, 0.05))
        start = time.monotonic()
        code = job.wait()
        worst = max(worst, time.monotonic() - start)
        if code == 0:
            break  # it had ended, or ended before the signal was seen
        if code != 75:
            return Outcome(False, worst, f"{what.name} to {who}: exit {code}, see {job.run_dir}.log")
    done = finish_and_compare(world, Job(world.train(run)), "signalled")
    return Outcome(done.held and worst <= 5, worst, done.note)


def stopped_rank(world, folder, rng):
    """R8: a rank that stops making progress; the survivors name it and exit 71 within the deadline + 10 s."""
    deadline = 4
    job = Job(world.train(folder / "run", ranks=3, more=[f"--run.deadline_s={deadline}"]))
    job.sleep(rng.uniform(1.0, RUN_S))
    ranks = job.ranks()
    if len(ranks) < 3:
        job.wait()
        return Outcome(True, note="over before the fault")
    victim = rng.choice(ranks)
    send(victim, signal.SIGSTOP)
    start = time.monotonic()
    while job.running() and time.monotonic() - start < deadline + 20:
        time.sleep(0.05)
    took = time.monotonic() - start
    code = -1 if job.running() else job.wait()
    job.end()
    return Outcome(code == 71 and took <= deadline + 10, took, f"exit {code} after {took:.1f} s")


def flip(path, rng):
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(path, rng):
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def zero_block(path, rng):
    data = bytearray(path.read_bytes())
    first = rng.randrange(len(data))
    data[first : first + 4096] = bytes(len(data[first : first + 4096]))
    path.write_bytes(data)


def remove(path, _):
    path.unlink()


def grow(path, rng):
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.choice([1, 4096])))


def swap(path, _):
    other = next((p for p in sorted(path.parent.iterdir()) if p != path and p.suffix == path.suffix), path)
    data = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(data)


def add(path, rng):
    (path.parent / "shard-00007-of-00002.h5").write_bytes(rng.randbytes(100))


DAMAGES = [flip, cut, zero_block, remove, grow, swap, add]


def corrupted(world, folder, rng):
    """R3: the newest checkpoint of a run damaged; it is refused and an older one taken (or the damage did not matter), and the run that goes
    on from there ends with the same bytes."""
    template = world.folder / "half-way"
    if not template.exists():
        job = Job(world.train(template, ranks=1, more=["--finetune.patience=0"]))
        job.wait()
    run = folder / "run"
    shutil.copytree(template, run)
    newest = max((run / "checkpoints").glob("step-*[0-9]"), key=lambda p: int(p.name.split("-")[1]))
    path = rng.choice(sorted(newest.iterdir()))
    damage = rng.choice(DAMAGES)
    damage(path, rng)
    start = time.monotonic()
    job = Job(world.train(run, ranks=1, more=["--finetune.patience=0"]), limit_s=30)
    code = job.wait()
    took = time.monotonic() - start
    note = f"{damage.__name__} of {path.name}: exit {code}"
    if code != 0:
        return Outcome(False, took, note)
    same = fingerprint(run) == world.clean(1, ("--finetune.patience=0",))
    return Outcome(same and took < 10, took, note if same else note + ", other bytes at the end")


def disk_of(size_kib):
    def case(world, folder, rng):
        """R4: a run on a disk that is too small ends with 74 or finishes; with more room it goes on, and nothing is lost."""
        disk = folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", disk], check=True)
        try:
            job = Job(world.train(disk / "run"), limit_s=60)
            code = job.wait()
            if code not in (0, 74):
                return Outcome(False, note=f"{size_kib} KiB: exit {code}: {tail(job.log.name)}")
            took = job.gone_after(10)
            if took is None:
                return Outcome(False, 10, f"{size_kib} KiB: ranks remained")
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            done = finish_and_compare(world, Job(world.train(disk / "run")), f"{size_kib} KiB")
            return Outcome(done.held, took, done.note)
        finally:
            subprocess.run(["umount", "-l", disk], check=False)

    return case


def tail(path):
    return pathlib.Path(path).read_text(errors="replace").strip().splitlines()[-1:]


def bad_place(kind):
    def case(world, folder, rng):
        """R5: a run folder that cannot be used is refused before the first step, in 5 s, with one line and 64, 66 or 74."""
        run = folder / "run"
        if kind == "a file stands where its parent should be":
            (folder / "parent").write_text("")
            run = folder / "parent" / "run"
        elif kind == "its disk is read-only":
            run.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", run], check=True)
        elif kind == "a link leads nowhere":
            run.symlink_to(folder / "nowhere" / "at all")
        elif kind == "a file stands in its place":
            run.write_text("")
        elif kind == "its checkpoints are damaged, all of them":
            for step in (10, 20):
                (run / "checkpoints" / f"step-{step:010d}").mkdir(parents=True)
                (run / "checkpoints" / f"step-{step:010d}" / "manifest.json").write_text("{}")
        start = time.monotonic()
        try:
            command = world.train(run)
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        finally:
            if kind == "its disk is read-only":
                subprocess.run(["umount", "-l", run], check=False)
        took = time.monotonic() - start
        lines = [line for line in done.stderr.splitlines() if line.startswith("cllm4rec:")]
        return Outcome(done.returncode in (64, 66, 74) and took <= 5 and len(lines) == 1, took,
                       f"{kind}: exit {done.returncode}, {len(lines)} lines: {lines[:1]}")

    return case


def repeated(world, folder, rng):
    """R10: the same seed and ranks give the same bytes."""
    run = folder / "run"
    return finish_and_compare(world, Job(world.train(run)), "repeated")


PLACES = ["a file stands where its parent should be", "its disk is read-only", "a link leads nowhere", "a file stands in its place",
          "its checkpoints are damaged, all of them"]


def catalogue(full):
    """[(promise, what the worst figure means, [case functions])]."""
    sizes = [int(60 * 1.15**n) for n in range(40)]
    return [
        ("R1 R2 kill anywhere", f"({KILLS_PER_RUN} kills a case)", [killed_anywhere] * (100 if full else 2)),
        ("R1 failpoints", "", [killed_at_failpoint(n) for n in (range(120) if full else range(0, 38, 5))]),
        ("R3 corrupt checkpoint", "s to go on", [corrupted] * (2000 if full else 12)),
        ("R4 full disk", "s until gone", [disk_of(s) for s in (sizes if full else sizes[5::12])]),
        ("R5 unusable place", "s until refused", [bad_place(kind) for kind in PLACES]),
        ("R6 signals", "s until exit 75 (3 a case)", [signalled] * (67 if full else 3)),
        ("R7 dead rank", "s until gone", [dead_rank(how) for how in DEATHS] * (20 if full else 1)),
        ("R8 hung rank", "s until exit 71", [stopped_rank] * (50 if full else 2)),
        ("R11 not finite", "", [not_finite] * (20 if full else 2)),
        ("R13 slow rank", "", [slow_rank] * (5 if full else 1)),
        ("R14 failed save", "", [failed_save] * (30 if full else 2)),
        ("R19 crash loop", "", [crash_loop] * (3 if full else 1)),
        ("R10 same bytes", "", [repeated] * (5 if full else 1)),
    ]
