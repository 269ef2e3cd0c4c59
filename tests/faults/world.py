"""A small world that all fault cases share: a demo corpus, a tiny backbone, and how a run is started, watched and compared."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("CLLM_BUILD", ROOT / "build")) / "cllm4rec"
MPIRUN = "mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 --mca btl self,vader --bind-to none".split()
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class World:
    """`steps` of a run: about 250, in all three stages, with a checkpoint every 7."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.corpus, self.backbone = folder / "corpus", folder / "backbone"
        if not (self.backbone / "config.json").exists():
            data = folder / "data"
            self._call("demo-data", data, "--users", 120, "--items", 50)
            self._call("prepare", "--input", data, "--output", self.corpus, "--train-tokenizer", 400)
            self._call("pretrain-backbone", "--corpus", self.corpus, "--output", self.backbone, "--layers", 1, "--heads", 2, "--width", 16,
                       "--positions", 128, "--context", 64, "--blocks", 8, "--epochs", 1)
        self._clean = {}

    def _call(self, *arguments):
        done = subprocess.run([PROGRAM, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"cannot make the small world: {' '.join(map(str, arguments))}\n{done.stderr}")

    def train(self, run: pathlib.Path, ranks=2, more=()):
        """The command line of the run that all cases disturb."""
        arguments = [PROGRAM, "train", f"--run.dir={run}", f"--run.corpus={self.corpus}", f"--run.backbone={self.backbone}", "--loss.lambda=0.1",
                     "--warmup.epochs=1", "--mutual.epochs=8", "--finetune.epochs=6", "--log.every_steps=1", "--log.tensorboard=false",
                     "--log.report=false", "--checkpoint.every_steps=7", "--run.max_restarts=0", *more]
        return [str(a) for a in ([*MPIRUN, "-n", ranks] if ranks > 1 else []) + arguments]

    def failpoints(self):
        """The names of all places where a rank can be made to fail."""
        return subprocess.run([PROGRAM, "train", "--list-failpoints"], env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.split()

    def clean(self, ranks=2, more=()):
        """The fingerprint of the same run, undisturbed."""
        key = (ranks, *more)
        if key not in self._clean:
            run = self.folder / ("clean-" + hashlib.sha1(repr(key).encode()).hexdigest()[:10])
            if not (run / "result.json").exists():
                shutil.rmtree(run, ignore_errors=True)
                done = Job(self.train(run, ranks, more)).wait()
                if done != 0:
                    raise SystemExit(f"the undisturbed run ended with {done}; see {run}")
            self._clean[key] = fingerprint(run)
        return self._clean[key]


def fingerprint(run: pathlib.Path):
    """Digest of all that a run leaves and that holds no time: the loss of every step, the result, every table."""
    digest = hashlib.sha1()
    for name in ("metrics.jsonl", "result.json"):
        digest.update((run / name).read_bytes())
    newest = max((run / "checkpoints").glob("step-*[0-9]"), key=lambda p: int(p.name.split("-")[1]))
    for shard in sorted(newest.glob("*.h5")):
        digest.update(shard.read_bytes())
    return digest.hexdigest()


class Job:
    """A started command in a session of its own, and its ranks."""

    def __init__(self, command, limit_s=120):
        self.started, self.limit_s = time.monotonic(), limit_s
        self.run_dir = next(a.split("=", 1)[1] for a in command if a.startswith("--run.dir="))
        self.log = open(self.run_dir.rstrip("/") + ".log", "ab")
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=self.log, stderr=self.log, start_new_session=True)
        self.launched = pathlib.Path(command[0]).name == "mpirun"

    def ranks(self):
        """Process ids of the ranks that live now."""
        mine = f"--run.dir={self.run_dir}".encode()
        out = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if mine in words and words[0].endswith(b"/cllm4rec"):
                out.append(int(entry.name))
        return sorted(out)

    def running(self):
        return self.process.poll() is None

    def sleep(self, seconds):
        """Waits, but not beyond the job's end."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            pass

    def wait(self):
        """The exit code; a job beyond its limit is ended and counts as hung (-1)."""
        try:
            code = self.process.wait(self.limit_s)
        except subprocess.TimeoutExpired:
            self.end()
            return -1
        return code if code >= 0 else 128 - code

    def end(self):
        for pid in [*self.ranks(), self.process.pid]:
            send(pid, signal.SIGKILL)
        self.process.wait()

    def gone_after(self, limit_s):
        """Seconds until launcher and ranks are gone; None when some remain after the limit."""
        start = time.monotonic()
        while self.running() or self.ranks():
            if time.monotonic() - start > limit_s:
                return None
            time.sleep(0.02)
        return time.monotonic() - start


def send(pid, what):
    try:
        os.kill(pid, what)
        return True
    except ProcessLookupError:
        return False
