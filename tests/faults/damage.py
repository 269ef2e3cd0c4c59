"""R3: checkpoints that were damaged on disk. Saved ones of two ranks, at three steps, the newest of them incremental;
one file of the newest is damaged, and then it must be refused with a line that names the file, and the one before it be
loaded with every byte right."""

import os
import pathlib
import shutil

from faults.job import Job
from faults.world import Outcome, fingerprint, newest_checkpoint


def flip(path, rng):
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 8])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    replace(path, data)


def cut(path, rng):
    replace(path, path.read_bytes()[: rng.randrange(path.stat().st_size)])


def zero_block(path, rng):
    data = bytearray(path.read_bytes())
    first = rng.randrange(len(data))
    data[first : first + 4096] = bytes(len(data[first : first + 4096]))
    replace(path, data)


def remove(path, _):
    path.unlink()


def grow(path, rng):
    replace(path, path.read_bytes() + rng.randbytes(rng.choice([1, 4096])))


def swap(path, _):
    """With another file of its checkpoint."""
    other = next((p for p in sorted(path.parent.iterdir()) if p != path and p.suffix == path.suffix), path)
    mine, others = path.read_bytes(), other.read_bytes()
    replace(path, others)
    replace(other, mine)


def stale(path, _):
    """The file of that name of the checkpoint before."""
    before = sorted(p for p in path.parent.parent.glob("step-*[0-9]") if (p / path.name).exists())
    replace(path, (before[-2] if len(before) > 1 else before[0]).joinpath(path.name).read_bytes())


def add(path, rng):
    (path.parent / "shard-00007-of-00002.h5").write_bytes(rng.randbytes(100))


def replace(path, data):
    """In a file of its own: incremental checkpoints share files by their second names."""
    path.unlink()
    path.write_bytes(bytes(data))


DAMAGES = [flip, cut, zero_block, remove, grow, swap, stale, add]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make_saved(world):
    def make(folder):
        answers = world.save([f"save {folder} 10", f"save {folder} 20", f"changes {folder} 30"])
        assert all("saved" in answer for answer in answers), answers

    return make


def damaged_files(world, folder, rng):
    shutil.copytree(world.once("saved", make_saved(world)), folder / "saved")
    newest = folder / "saved" / f"step-{30:010d}"
    before = content(newest)
    path = rng.choice(sorted(newest.iterdir()))
    damage = rng.choice(DAMAGES)
    damage(path, rng)
    harmless = content(newest) == before
    answer = world.ask(f"find {folder / 'saved'}")
    note = f"{damage.__name__} of {path.name}: {answer}"
    if not answer.get("right") or answer["step"] != (30 if harmless else 20):
        return Outcome(False, note=note)
    changed = {name for name in {*before, *os.listdir(newest)} if before.get(name) != content(newest).get(name)}
    named = harmless or any(name in answer["refused"][0] for name in {*changed, "manifest.json"})
    return Outcome(named, answer["seconds"], note, faults=int(not harmless))


ALONE = ("--finetune.patience=0",)  # a run of one rank


def make_half_way(world):
    def make(folder):
        more = [*ALONE, "--allow-failpoints", "--failpoint=step.after_record:usr1@60"]
        job = Job(world.train(folder / "run", 1, more))
        assert job.wait() == 75, job.output()

    return make


def damaged_run(world, folder, rng):
    """The same in a run: it goes on from the checkpoint before, to the same end."""
    run = pathlib.Path(shutil.copytree(world.once("half-way", make_half_way(world)) / "run", folder / "run"))
    path = rng.choice(sorted(newest_checkpoint(run).iterdir()))
    damage = rng.choice(DAMAGES)
    damage(path, rng)
    job = Job(world.train(run, 1, ALONE))
    code = job.wait()
    note = f"{damage.__name__} of {path.name}: exit {code}"
    return Outcome(code == 0 and fingerprint(run) == world.clean(1, ALONE), note=note)
