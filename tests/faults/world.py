"""A small world that all fault cases share: a demo corpus, a tiny backbone, and how runs and saves are started and
compared."""

import dataclasses
import hashlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import threading
import time

from faults.job import ENVIRONMENT, HUNG_S, Job

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CLLM_BUILD", ROOT / "build"))
PROGRAM, PROBE, SHIM = BUILD / "cllm4rec", BUILD / "faults_probe", BUILD / "faults_shim.so"
MPIRUN = ("mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 --mca btl self,vader "
          "--bind-to none").split()


@dataclasses.dataclass
class Outcome:
    held: bool
    worst: float = 0.0  # the figure of the promise: seconds, unless its row says otherwise
    note: str = ""
    faults: int = 1  # that struck


def shim(under, **settings):
    """Environment for a program whose calls below a folder shall fail (fail="fsync:EIO:3") or be recorded
    (log=FILE)."""
    words = {"LD_PRELOAD": SHIM, "CLLM_SHIM_UNDER": under,
             **{f"CLLM_SHIM_{name.upper()}": value for name, value in settings.items()}}
    return {name: str(value) for name, value in words.items()}


class World:
    """`train()`: a run of all three stages that takes a few seconds, with a checkpoint every 7 steps."""

    def __init__(self, folder: pathlib.Path, variant="", settings=()):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.settings = folder, settings
        self.variant = variant  # of the probe that saves, "" for the right one
        self.corpus, self.backbone = folder / "corpus", folder / "backbone"
        self._clean, self._lock, self._own = {}, threading.RLock(), threading.local()

    def make_data(self):
        """Corpus and backbone, once."""
        with self._lock:
            if (self.backbone / "config.json").exists():
                return
            data = self.folder / "data"
            self._call("demo-data", data, "--users", 120, "--items", 50)
            self._call("prepare", "--input", data, "--output", self.corpus, "--train-tokenizer", 400)
            self._call("pretrain-backbone", "--corpus", self.corpus, "--output", self.backbone, "--layers", 1,
                       "--heads", 2, "--width", 16, "--positions", 128, "--context", 64, "--blocks", 8, "--epochs", 1)

    def _call(self, *arguments):
        done = self.program(*arguments)
        if done.returncode != 0:
            raise SystemExit(f"cannot make the small world: {' '.join(map(str, arguments))}\n{done.stderr}")

    def program(self, *arguments, ranks=1):
        """Any command of the program, to its end."""
        command = [*(MPIRUN + ["-n", ranks] if ranks > 1 else []), PROGRAM, *arguments]
        return subprocess.run(list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=600)

    def train(self, run: pathlib.Path, ranks=2, more=(), environment=None):
        """The command line of the run that all cases disturb; `environment` is the ranks' alone."""
        self.make_data()
        settings = ["env", *(f"{name}={value}" for name, value in environment.items())] if environment else []
        arguments = [PROGRAM, "train", f"--run.dir={run}", f"--run.corpus={self.corpus}",
                     f"--run.backbone={self.backbone}", "--loss.lambda=0.1", "--warmup.epochs=1", "--mutual.epochs=5",
                     "--finetune.epochs=3", "--log.every_steps=1", "--log.tensorboard=false", "--log.report=false",
                     "--checkpoint.every_steps=7", "--run.max_restarts=0", *self.settings, *more]
        return [str(a) for a in ([*MPIRUN, "-n", ranks] if ranks > 1 else []) + settings + arguments]

    def failpoints(self):
        """The names of all places where a rank can be made to fail."""
        return self.program("train", "--list-failpoints").stdout.split()

    def clean(self, ranks=2, more=()):
        """The fingerprint of the same run, undisturbed."""
        key = (ranks, *more)
        with self._lock:
            if key not in self._clean:
                run = self.clean_run(ranks, more)
                if not (run / "result.json").exists():
                    shutil.rmtree(run, ignore_errors=True)
                    begin = time.monotonic()
                    done = Job(self.train(run, ranks, more)).wait()
                    if done != 0:
                        raise SystemExit(f"the undisturbed run ended with {done}; see {run}.log")
                    run.with_suffix(".seconds").write_text(str(time.monotonic() - begin))
                self._clean[key] = fingerprint(run)
            return self._clean[key]

    @property
    def run_s(self):
        """How long an undisturbed run takes on this machine."""
        self.clean()
        return float(self.clean_run().with_suffix(".seconds").read_text())

    def clean_run(self, ranks=2, more=()):
        return self.folder / ("clean-" + hashlib.sha1(repr((ranks, *more)).encode()).hexdigest()[:10])

    def once(self, name, make):
        """A folder that all cases share, made by `make(folder)` when the first of them needs it."""
        folder = self.folder / name
        with self._lock:
            if not folder.exists():
                draft = self.folder / (name + ".tmp")
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                make(draft)
                draft.rename(folder)
        return folder

    def ask(self, command):
        """The answer of this thread's probe (of the variant that this world tests, under the shim); a crash of it is an
        answer as well."""
        if getattr(self._own, "probe", None) is None:
            self._own.probe = subprocess.Popen([PROBE, *self.variant.split()], env={**ENVIRONMENT, **shim(self.folder)},
                                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        probe = self._own.probe
        probe.stdin.write(command + "\n")
        probe.stdin.flush()
        answered = select.select([probe.stdout], [], [], HUNG_S)[0]
        answer = probe.stdout.readline() if answered else ""
        if answer:
            return json.loads(answer)
        self._own.probe = None
        probe.kill()
        return {"error": f"the probe {f'ended with {probe.wait()}' if answered else 'hung'}", "code": -1}

    def save(self, commands, environment=None):
        """The answers of a probe of its own."""
        done = subprocess.run([PROBE, *self.variant.split()], env={**ENVIRONMENT, **(environment or {})},
                              input="".join(c + "\n" for c in commands), capture_output=True, text=True, timeout=600)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode != 0:
            answers.append({"error": f"the probe ended with {done.returncode}: {done.stderr[-200:]}", "code": -1})
        return answers


def newest_checkpoint(run: pathlib.Path):
    return max((run / "checkpoints").glob("step-*[0-9]"), key=lambda p: int(p.name.split("-")[1]))


def fingerprint(run: pathlib.Path):
    """Digest of all that a run leaves and that holds no time: the loss of every step, the result, every table."""
    digest = hashlib.sha1()
    for name in ("metrics.jsonl", "result.json"):
        digest.update((run / name).read_bytes())
    for shard in sorted(newest_checkpoint(run).glob("*.h5")):
        digest.update(shard.read_bytes())
    return digest.hexdigest()
