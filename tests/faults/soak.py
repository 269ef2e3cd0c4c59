"""R16: one long run under a mix of all faults. It ends with the bytes of the undisturbed one, most steps are done only
once, and memory, open files and disk stay bounded."""

import os
import re
import signal

from faults.damage import DAMAGES
from faults.job import Job, read, send
from faults.runs import DEADLINES, fail_at, last_line
from faults.world import Outcome, fingerprint, newest_checkpoint, shim

MIN_GOODPUT = 0.8
STEP_DONE = "failpoint step.after_record passed"  # a line of rank 0


def settings(epochs):
    return (f"--mutual.epochs={epochs}", "--evaluation.every_epochs=4")


def kill(job, rng, run):
    send(rng.choice([*job.ranks(), job.process.pid]), signal.SIGKILL)


def usr1(job, rng, run):
    send(job.process.pid, signal.SIGUSR1)


def stop(job, rng, run):
    ranks = job.ranks()
    if ranks:
        send(rng.choice(ranks), signal.SIGSTOP)


def kill_and_damage(job, rng, run):
    kill(job, rng, run)
    job.gone_after()
    checkpoints = list((run / "checkpoints").glob("step-*[0-9]"))
    if len(checkpoints) > 1:
        rng.choice(DAMAGES)(rng.choice(sorted(newest_checkpoint(run).iterdir())), rng)


class Peak:
    """The most that any rank of the soak has used."""

    def __init__(self):
        self.rss_kib, self.files = 0, 0

    def watch(self, job):
        for pid in job.ranks():
            found = re.search(rb"VmHWM:\s*(\d+)", read(f"/proc/{pid}/status"))
            self.rss_kib = max(self.rss_kib, int(found.group(1)) if found else 0)
            try:
                self.files = max(self.files, len(os.listdir(f"/proc/{pid}/fd")))
            except OSError:  # it has just ended
                pass


def disk_bytes(run):
    return sum(path.stat().st_size for path in (run / "checkpoints").rglob("*") if path.is_file())


def soaked(num_faults, epochs):
    def case(world, folder, rng):
        """Figure: percent of the steps that were done more than once."""
        more = settings(epochs)
        world.clean(2, more)
        run, undisturbed = folder / "run", world.clean_run(2, more)
        needed = sum('"event": "step"' in line for line in (undisturbed / "metrics.jsonl").read_text().splitlines())
        peak, executed, struck = Peak(), 0, 0
        while True:
            fault = rng.choice([kill, kill, usr1, stop, kill_and_damage, None]) if struck < num_faults else usr1
            environment = None
            if fault is None:
                environment = shim(run / "checkpoints", fail=f"write:EIO:{rng.randrange(20, 200)}")
            job = Job(world.train(run, 2, [*more, *DEADLINES, *fail_at("step.after_record:log@1+#0")], environment))
            steps = rng.randrange(1, needed // num_faults) if struck < num_faults else 2 * needed
            job.wait_for(lambda: job.output().count(STEP_DONE) >= steps)
            peak.watch(job)
            if job.running() and fault is not None:
                fault(job, rng, run)
                struck += 1
            code = job.wait()
            job.gone_after()
            executed += job.output().count(STEP_DONE)
            struck += code == 74
            if code == 0:
                break
            if code not in (71, 74, 75, 137):
                return Outcome(False, note=f"{fault and fault.__name__}: exit {code}: {last_line(job)}")
        goodput = needed / max(1, executed)
        bounded = peak.rss_kib < 2 << 20 and peak.files < 200 and disk_bytes(run) < 3 * disk_bytes(undisturbed)
        same = fingerprint(run) == fingerprint(undisturbed)
        note = f"{struck} faults, goodput {goodput:.2f}, {peak.rss_kib >> 10} MiB, {peak.files} files, same end: {same}"
        return Outcome(same and bounded and goodput >= MIN_GOODPUT, 100 * (1 - goodput), note, struck)

    return case
