"""R4: disks that are full, and calls that fail, in whole runs and in single saves."""

import contextlib
import shutil
import subprocess

from faults.damage import make_saved
from faults.job import Job
from faults.power import record
from faults.runs import finish_and_compare, last_line
from faults.world import Outcome, shim

CALLS = ("write", "fsync", "close", "rename", "open", "link", "mkdir")
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "ESTALE")


@contextlib.contextmanager
def small_disk(disk, size_kib):
    """True if `disk` is now a file system of that size."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", disk]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", disk], check=False)


def full_disk(size_kib):
    def case(world, folder, rng):
        """A run on a disk that is too small ends with 74 or finishes; with more room it goes on, and nothing is lost.
        Where no disk can be mounted, writes fail after a number of them that stands for the size."""
        disk = folder / "disk"
        with small_disk(disk, size_kib) as mounted:
            environment = None if mounted else shim(disk, fail=f"write:ENOSPC:{size_kib // 4}+")
            job = Job(world.train(disk / "run", environment=environment))
            code = job.wait()
            if code not in (0, 74):
                return Outcome(False, note=f"{size_kib} KiB: exit {code}: {last_line(job)}")
            took = job.gone_after()
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            done = finish_and_compare(world, disk / "run", f"{size_kib} KiB")
            return Outcome(done.held, took, done.note, faults=int(code == 74))

    return case


def failing_run(world, folder, rng):
    """A call of one of the ranks' saves fails somewhere in a run: 74 on all ranks, or the run did not mind; then it
    goes on."""
    run = folder / "run"
    what = f"{rng.choice(CALLS[:4])}:{rng.choice(ERRORS)}:{rng.randrange(1, 60)}"
    job = Job(world.train(run, environment=shim(run / "checkpoints", fail=what)))
    code = job.wait()
    took = job.gone_after()
    if code not in (0, 74):
        return Outcome(False, took, f"{what}: exit {code}: {last_line(job)}")
    done = finish_and_compare(world, run, what)
    return Outcome(done.held, took, done.note, faults=int(code == 74))


def failing_save(call, error):
    def case(world, folder, rng):
        """One call of two saves (a whole one with a pin, an incremental one) fails. A save that says it is done is
        there, one that failed says so with 74, nothing that was there is lost, and the next save succeeds. Interrupted
        and short calls are no failures at all."""
        shutil.copytree(world.once("saved", make_saved(world)), folder / "saved")
        saved = folder / "saved"
        onwards = "+" if error in ("ENOSPC", "EDQUOT") and rng.random() < 0.5 else ""
        what = f"{call}:{error}:{rng.randrange(1, num_calls(world, call) + 1)}{onwards}"
        commands = [f"fail {what}", f"save {saved} 40 best", f"changes {saved} 50", "fail none", f"find {saved}",
                    f"save {saved} 60", f"find {saved}"]
        _, *answers, _, found, again, last = [world.ask(command) for command in commands]
        said = max([a["saved"] for a in answers if "saved" in a], default=30)
        failed = [a for a in answers if "saved" not in a]
        good = (all(a["code"] == 74 for a in failed) and not (failed and error in ("EINTR", "short"))
                and found.get("right") and found["step"] >= said and not found["refused"]
                and "saved" in again and last.get("right") and last["step"] == 60)
        return Outcome(bool(good), max(a.get("seconds", 0) for a in answers),
                       f"{what}: {answers}, then {found}, then {again}, {last}")

    return case


def num_calls(world, call):
    """How often such saves make a call, about."""
    calls = [change.call for change in record(world)[2]]
    return max(1, calls.count("open" if call == "close" else call) // 2)


def failing_saves(number):
    """So many cases of every call and every error that it can have."""
    cases = [failing_save(call, error) for call in CALLS for error in ERRORS]
    cases += [failing_save("write", "short")] * 4 + [failing_save(call, "EINTR") for call in ("write", "open", "fsync")]
    return (cases * (1 + number // len(cases)))[:number]
