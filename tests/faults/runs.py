"""What is done to whole runs. A case is a function (world, folder, rng) -> Outcome; it gets an empty folder and a
seeded random generator. Times are drawn within that of an undisturbed run on this machine; a fault that came too late
is tried again."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from faults.job import Job, read, send
from faults.world import PROGRAM, ROOT, Outcome, fingerprint, newest_checkpoint, shim

KILLS_PER_RUN = 5
SIGNALS_PER_RUN = 3
DEADLINE_S = 5
# A start takes longer on a busy machine.
DEADLINES = [f"--run.{kind}deadline_s={DEADLINE_S}" for kind in ("", "load_", "save_")]


def fail_at(text):
    return ["--allow-failpoints", f"--failpoint={text}"]


def last_line(job):
    return " ".join(job.output().strip().splitlines()[-1:])


def finish_and_compare(world, run, note="", ranks=2, more=()):
    """Lets the run go on to its end: nothing may be lost, whatever happened before."""
    job = Job(world.train(run, ranks, more))
    code = job.wait()
    if code != 0:
        return Outcome(False, note=f"{note}: the run that went on ended with {code}: {last_line(job)}")
    same = fingerprint(run) == world.clean(ranks, more)
    return Outcome(same, note="" if same else f"{note}: the end differs from the undisturbed run's")


def started(world, folder, rng, ranks, more=()):
    """A job with all its ranks, anywhere between its first moment and its end; its folder is new."""
    while True:
        shutil.rmtree(folder / "run", ignore_errors=True)
        job = Job(world.train(folder / "run", ranks, more))
        job.sleep(rng.uniform(0.1, world.run_s))
        if len(job.ranks()) == ranks:
            return job
        job.wait()


def killed_anywhere(world, folder, rng, more=()):
    """R1, R2: ranks or the launcher killed at random times, several times a run; then every step's loss and every byte
    are the same."""
    run, kills = folder / "run", 0
    while kills < KILLS_PER_RUN:
        job = Job(world.train(run, more=more))
        job.sleep(rng.uniform(0.1, world.run_s))
        victims = [*job.ranks(), job.process.pid]
        if not job.running():  # ended before: the next run begins anew
            if job.wait() != 0 or fingerprint(run) != world.clean(more=more):
                return Outcome(False, note=f"after {kills} kills: {last_line(job)}")
            shutil.rmtree(run)
            continue
        send(rng.choice(victims), signal.SIGKILL)
        kills += 1
        if job.gone_after() > 60:
            return Outcome(False, note="ranks remained after one was killed")
    done = finish_and_compare(world, run, "killed", more=more)
    done.faults = kills
    return done


def samples_once(world, folder, rng):
    """R2: the log of all samples, over three epochs and a few kills, has each of them once, and is that of the
    undisturbed run."""
    logged = ("--log.samples=true", "--mutual.epochs=3")
    done = killed_anywhere(world, folder, rng, logged)
    if not done.held:
        return done
    log = (folder / "run" / "samples.txt").read_text()
    keys = [key for line in log.splitlines() for key in line.split()[1:]]
    done.held = len(keys) == len(set(keys)) > 0 and log == (world.clean_run(2, logged) / "samples.txt").read_text()
    done.note = "" if done.held else f"{len(keys)} samples, {len(set(keys))} different ones"
    return done


def killed_at_failpoint(number):
    def case(world, folder, rng):
        """R1 at a named place of the program, on one rank, at one of the first passes."""
        names = world.failpoints()
        name, rank = names[number % len(names)], rng.randrange(2)
        job = Job(world.train(folder / "run", more=fail_at(f"{name}:kill@{rng.choice([1, 1, 2, 3])}#{rank}")))
        code = job.wait()
        if code not in (0, 137) or job.gone_after() > 60:  # 0: this rank does not pass there, or not so often
            return Outcome(False, note=f"{name}: exit {code}")
        done = finish_and_compare(world, folder / "run", name)
        done.faults = int(code == 137)
        return done

    return case


def failed_save(world, folder, rng):
    """R14: a save in the background fails on one rank; all end with 74 at the next step, and nothing is lost."""
    name = rng.choice(["save.before_shard", "save.before_sync_shard", "save.after_sync_shard"])
    job = Job(world.train(folder / "run", more=fail_at(f"{name}:fail@{rng.randrange(1, 9)}#{rng.randrange(2)}")))
    code = job.wait()
    if code != 74:
        return Outcome(False, note=f"{name}: exit {code}")
    return finish_and_compare(world, folder / "run", name)


def not_finite(world, folder, rng):
    """R11: a value of one rank becomes NaN; all ranks end, the rank is named, no committed checkpoint holds it, and the
    run goes on cleanly."""
    rank = rng.randrange(2)
    job = Job(world.train(folder / "run", more=fail_at(f"step.before_compute:nan@{rng.randrange(10, 80)}#{rank}")))
    code = job.wait()
    if code not in (64, 74) or not re.search(r"rank [01]\b.*not finite", job.output()):
        return Outcome(False, note=f"exit {code}: {last_line(job)}")
    return finish_and_compare(world, folder / "run", "NaN")


TRAINED = ("--run.train_backbone=true", "--run.replica_check_steps=10")


def flipped_bit(world, folder, rng):
    """R12: a bit of the trained backbone, or of its optimiser's state, flips on one rank: it is named, nothing is
    saved, the run goes on."""
    rank = rng.randrange(3)
    flip = fail_at(f"step.after_compute:flip@{rng.randrange(2, 60)}#{rank}")
    job = Job(world.train(folder / "run", 3, [*TRAINED, *flip]))
    code, text = job.wait(), job.output()
    if code != 71 or not re.search(rf'tensor "backbone\.\S+" of rank {rank} differs', text):
        return Outcome(False, note=f"exit {code}: {last_line(job)}")
    return finish_and_compare(world, folder / "run", "flipped", 3, TRAINED)


def slow_rank(world, folder, rng):
    """R13: one rank slower than the other is named, the other is not."""
    rank = rng.randrange(2)
    job = Job(world.train(folder / "run", more=[*fail_at(f"step.before_compute:delay400@1+#{rank}"),
                                                "--mutual.epochs=1", "--finetune.epochs=1"]))
    code, text = job.wait(), job.output()
    return Outcome(code == 0 and f"rank {rank} is slow" in text and f"rank {1 - rank} is slow" not in text,
                   note=f"exit {code}")


def no_false_alarm(steps):
    def case(world, folder, rng):
        """R13: nobody is called slow in a clean run. Figure: its steps."""
        epochs = max(1, steps // 14)
        job = Job(world.train(folder / "run", more=[f"--mutual.epochs={epochs}", "--finetune.epochs=0",
                                                    "--checkpoint.every_steps=0",
                                                    f"--evaluation.every_epochs={epochs}"]))
        code = job.wait()
        records = (folder / "run" / "metrics.jsonl").read_text().splitlines()
        done = sum('"event":"step"' in line.replace(" ", "") for line in records)
        return Outcome(code == 0 and "is slow" not in job.output(), done, f"exit {code}")

    return case


def crash_loop(world, folder, rng):
    """R19: the start after three that committed nothing is refused with 78."""
    for _ in range(3):
        killed = ["--run.max_restarts=3", *fail_at("step.before_compute:kill@2#1")]
        code = Job(world.train(folder / "run", more=killed)).wait()
        if code != 137:
            return Outcome(False, note=f"exit {code} instead of 137")
    code = Job(world.train(folder / "run", more=["--run.max_restarts=3"])).wait()
    return Outcome(code == 78, note=f"exit {code}")


def kill_with(number):
    return lambda pid: send(pid, number)


def out_of_memory(pid):
    """From now on no allocation succeeds."""
    subprocess.run(["prlimit", "--pid", str(pid), "--as=4096"], check=False)


DEATHS = {"KILL": kill_with(signal.SIGKILL), "SEGV": kill_with(signal.SIGSEGV), "ABRT": kill_with(signal.SIGABRT),
          "exit": None, "OOM": out_of_memory}


def exit_without_finalize(world, folder, rng):
    job = Job(world.train(folder / "run", 3,
                          fail_at(f"step.after_compute:exit@{rng.randrange(5, 80)}#{rng.randrange(3)}")))
    job.has_ranks(3)
    return job


def dead_rank(how):
    def case(world, folder, rng):
        """R7: the others are gone within 5 s, the launcher fails, nothing is left in /dev/shm."""
        job = exit_without_finalize(world, folder, rng) if how == "exit" else started(world, folder, rng, 3)
        memory = job.shared_memory()
        if how != "exit":
            DEATHS[how](rng.choice(job.ranks()))
        job.wait_for(lambda: len(job.ranks()) < 3)  # without memory it goes on until it needs some
        gone = job.gone_after()
        left = [name for name in memory if os.path.exists(name)]
        code = job.wait()
        if how == "OOM" and code == 0:  # near its end it needed no more memory
            return case(world, folder, rng)
        return Outcome(code != 0 and not left, gone, f"{how}: gone after {gone:.1f} s, exit {code}, left {left}")

    return case


def send_one(job, rng, local):
    """A signal that asks for a save, to the launcher or a rank. mpirun hands on USR1; mpirun_local.sh makes TERM of it
    what it should be."""
    target = rng.choice([job.process.pid, *job.ranks()])
    number = rng.choice([signal.SIGUSR1, signal.SIGTERM]) if target != job.process.pid or local else signal.SIGUSR1
    send(target, number)
    return f"{number.name} to {'the launcher' if target == job.process.pid else 'a rank'}"


def signalled(world, folder, rng):
    """R6: USR1 or TERM to a rank or the launcher, at any time, once or twice: committed, and exit 75 within 5 s; the
    run goes on."""
    run, struck, worst = folder / "run", 0, 0.0
    local = rng.random() < 0.3
    command = world.train(run)
    if local:
        command = ["env", f"CLLM4REC={PROGRAM}", str(ROOT / "cluster" / "mpirun_local.sh"), "2",
                   *command[command.index(str(PROGRAM)) + 1 :]]
    while struck < SIGNALS_PER_RUN:
        job = Job(command)
        if not job.has_ranks(2):
            return Outcome(False, worst, f"it ended early: {last_line(job)}")
        job.sleep(rng.uniform(0.0, world.run_s))
        what = send_one(job, rng, local)
        start = time.monotonic()
        if rng.random() < 0.3:
            job.sleep(rng.uniform(0, 0.05))
            if job.running():
                what += ", " + send_one(job, rng, local)
        code = job.wait()
        deaf = code == 128 + signal.SIGUSR1 and what.endswith("the launcher") and (run / "result.json").exists()
        # It had ended before, or as good as; mpirun dies of USR1 when its ranks have gone. The next run begins anew.
        if code == 0 or deaf:
            if fingerprint(run) != world.clean():
                return Outcome(False, worst, f"{what}: it ended all the same, but not as the undisturbed run")
            shutil.rmtree(run)
            continue
        struck += 1
        worst = max(worst, time.monotonic() - start)
        if code != 75:
            return Outcome(False, worst, f"{what}: exit {code}: {last_line(job)}")
    done = finish_and_compare(world, run, "signalled")
    return Outcome(done.held, worst, done.note, struck)


def signalled_before_main(world, folder, rng):
    """R6: a signal while the program is being loaded is not lost either: exit 75, and the run goes on."""
    run = folder / "run"
    code = Job(world.train(run, environment=shim(run, signal=int(rng.choice([signal.SIGUSR1, signal.SIGTERM]))))).wait()
    if code != 75:
        return Outcome(False, note=f"exit {code}")
    return finish_and_compare(world, run, "signalled before main")


def stopped_rank(world, folder, rng):
    """R8: a rank that stops making progress; the survivors name it, log where they are, and exit 71. Figure: seconds
    beyond the deadline."""
    while True:
        shutil.rmtree(folder / "run", ignore_errors=True)
        job = Job(world.train(folder / "run", 3, DEADLINES))
        job.wait_for(lambda: '"work":"training step"' in read(folder / "run" / "heartbeats" / "rank-0").decode())
        job.sleep(rng.uniform(0, world.run_s / 2))
        ranks = job.ranks()
        if len(ranks) == 3:
            break
        if job.wait() != 0:
            return Outcome(False, note=f"it ended before the fault: {last_line(job)}")
    victim = rng.choice(ranks)
    number = job.rank_of(victim)
    send(victim, signal.SIGSTOP)
    start = time.monotonic()
    job.wait_for(lambda: job.ranks() == [victim])
    alarmed = "watchdog: deadline" in job.output()
    if job.running() and not alarmed and (folder / "run" / "result.json").exists():  # the others had no more need of it
        send(victim, signal.SIGCONT)
        if job.wait() != 0:
            return Outcome(False, note=f"it ended badly: {last_line(job)}")
        return stopped_rank(world, folder, rng)
    code = job.wait(120)
    took = time.monotonic() - start - DEADLINE_S
    text = job.output()
    silent = [r for r in range(3) if r != number and not re.search(rf"rank {r} is in step \d+, .+, .+ for ", text)]
    named = f"rank {number} is missing" in text
    return Outcome(code == 71 and not silent and named, max(0.0, took),
                   f"exit {code} {took:.1f} s after the deadline; silent: {silent}; missing one named: {named}")


PLACES = ["a file stands where its parent should be", "its disk is read-only", "no permission", "a link leads nowhere",
          "a file stands in its place", "its checkpoints are damaged, all of them"]


def spoil_place(kind, folder):
    """The run folder, and the environment in which it cannot be used."""
    run = folder / "run"
    if kind == "a file stands where its parent should be":
        (folder / "parent").write_text("")
        run = folder / "parent" / "run"
    elif kind == "its disk is read-only":
        return run, shim(run, fail="open:EROFS:1+")
    elif kind == "no permission":
        return run, shim(run, fail="open:EACCES:1+")
    elif kind == "a link leads nowhere":
        run.symlink_to(folder / "nowhere" / "at all")
    elif kind == "a file stands in its place":
        run.write_text("")
    elif kind == "its checkpoints are damaged, all of them":
        for step in (10, 20):
            (run / "checkpoints" / f"step-{step:010d}").mkdir(parents=True)
            (run / "checkpoints" / f"step-{step:010d}" / "manifest.json").write_text("{}")
    return run, None


def bad_place(kind):
    def case(world, folder, rng):
        """R5: a run folder that cannot be used is refused before the first step with one line and 64, 66 or 74."""
        run, environment = spoil_place(kind, folder)
        start = time.monotonic()
        done = subprocess.run(world.train(run, environment=environment), capture_output=True, text=True, timeout=600)
        took = time.monotonic() - start
        lines = [line for line in done.stderr.splitlines() if line.startswith("cllm4rec:")]
        return Outcome(done.returncode in (64, 66, 74) and len(lines) == 1, took,
                       f"{kind}: exit {done.returncode}, {len(lines)} lines: {lines[:1]}")

    return case


def removed_folder(world, folder, rng):
    """R5: the checkpoints' folder is removed while the run goes on: 74, and one line that names it."""
    run = folder / "run"
    job = Job(world.train(run))
    job.wait_for(lambda: any((run / "checkpoints").glob("step-*[0-9]")))
    (run / "checkpoints").rename(folder / "elsewhere")
    code = job.wait()
    lines = [line for line in job.output().splitlines() if line.startswith("cllm4rec:")]
    return Outcome(code == 74 and len(lines) == 1 and "checkpoints" in lines[0], note=f"exit {code}: {lines[:2]}")


def repeated(epochs):
    def case(world, folder, rng):
        """R10: the same seed and ranks give the same bytes."""
        return finish_and_compare(world, folder / "run", "repeated", more=(f"--mutual.epochs={epochs}",))

    return case


def resharded(chain):
    def case(world, folder, rng):
        """R9: a checkpoint written anew for other numbers of ranks is the same state, and its export the same bytes."""
        world.clean()
        first = before = newest_checkpoint(world.clean_run())
        for n, ranks in enumerate(chain):
            after = folder / f"{n}-{ranks}"
            for command in (["reshard", before, after, "--ranks", ranks], ["diff", first, after]):
                done = world.program("checkpoint", *command)
                if done.returncode != 0:
                    return Outcome(False, note=f"{command[0]} {chain}, {ranks} ranks: "
                                               f"{done.stdout[-200:]}{done.stderr[-200:]}")
            before = after
        return Outcome(True)

    return case


def exported(world, folder, rng):
    """R9: the export does not depend on the number of ranks that write it."""
    world.clean()
    digests = set()
    for ranks in (1, 2, 3):
        out = folder / str(ranks)
        done = world.program("export", world.clean_run(), "--output", out, ranks=ranks)
        if done.returncode != 0:
            return Outcome(False, note=done.stderr[-200:])
        digests.add(json.dumps({str(f.relative_to(out)): hash(f.read_bytes())
                                for f in sorted(out.rglob("*")) if f.is_file()}))
    return Outcome(len(digests) == 1, note=f"{len(digests)} different exports")
