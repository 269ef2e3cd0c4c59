"""A run as processes: started, watched, disturbed, ended."""

import os
import pathlib
import re
import signal
import subprocess
import time

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
POLL_S = 0.03  # a look at all processes takes 2 ms
HUNG_S = 600  # a job that has not ended by then never will, on any machine


class Job:
    """A started command in a session of its own, and its ranks."""

    def __init__(self, command):
        self.run_dir = next(a.split("=", 1)[1] for a in command if a.startswith("--run.dir="))
        self.log = pathlib.Path(self.run_dir.rstrip("/") + ".log")
        self.log_begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=out, stderr=out, start_new_session=True)

    def output(self):
        """What this job has printed."""
        with self.log.open("rb") as log:
            log.seek(self.log_begin)
            return log.read().decode(errors="replace")

    def ranks(self):
        """Process ids of the ranks that live now."""
        mine = f"--run.dir={self.run_dir}".encode()
        out = []
        for entry in os.listdir("/proc"):
            words = read(f"/proc/{entry}/cmdline").split(b"\0") if entry.isdigit() else []
            if mine in words and words[0].endswith(b"/cllm4rec"):
                out.append(int(entry))
        return sorted(out)

    def rank_of(self, pid):
        found = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", read(f"/proc/{pid}/environ"))
        return int(found.group(1)) if found else 0

    def shared_memory(self):
        """Files in /dev/shm that the ranks have mapped."""
        return {name for pid in self.ranks()
                for name in re.findall(r"/dev/shm/\S+", read(f"/proc/{pid}/maps").decode(errors="replace"))}

    def running(self):
        return self.process.poll() is None

    def wait_for(self, condition):
        """Waits until it holds; False if the job ended before."""
        while self.running():
            if condition():
                return True
            time.sleep(POLL_S)
        return False

    def has_ranks(self, count):
        """All ranks have come to main(): they catch USR1."""
        return self.wait_for(lambda: sum(catches(pid, signal.SIGUSR1) for pid in self.ranks()) == count)

    def sleep(self, seconds):
        """Waits, but not beyond the job's end."""
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            pass

    def wait(self, limit_s=HUNG_S):
        """The exit code; a job beyond its limit is ended and counts as hung (-1)."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.end()
            return -1
        return code if code >= 0 else 128 - code

    def end(self):
        for pid in [*self.ranks(), self.process.pid]:
            send(pid, signal.SIGKILL)
        self.process.wait()

    def gone_after(self):
        """Seconds until launcher and ranks are gone; those that remain for a minute are ended."""
        start = time.monotonic()
        while self.running() or self.ranks():
            if time.monotonic() - start > 60:
                self.end()
                break
            time.sleep(POLL_S)
        return time.monotonic() - start


def read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:  # the process has gone
        return b""


def catches(pid, number):
    """Whether the process has a handler for that signal."""
    found = re.search(rb"SigCgt:\s*([0-9a-f]+)", read(f"/proc/{pid}/status"))
    return bool(found) and bool(int(found.group(1), 16) >> (number - 1) & 1)


def send(pid, what):
    try:
        os.kill(pid, what)
        return True
    except ProcessLookupError:
        return False
