"""R20: what a disk holds after the power failed. A probe saves four times under the shim; its changes are replayed up
to any of them, of what was not synced then some or nothing survives, and what is found must be the old or the new
checkpoint."""

import dataclasses
import pathlib
import re
import shutil

from faults.damage import make_saved
from faults.job import Job
from faults.world import Outcome, shim

# The last one replaces a folder in one exchange.
COMMANDS = ["save {} 40 best", "changes {} 50", "save {} 60", "save {} 60"]


@dataclasses.dataclass
class Change:
    call: str
    path: pathlib.PurePath
    other: str  # rename: where to; link: where from; open: created, emptied, opened, stream
    offset: int
    data: bytes


def read_changes(log):
    text, at, out = log.read_bytes(), 0, []
    while at < len(text):
        end = text.index(b"\n", at)
        call, path, other, offset, count = text[at:end].decode().split("\t")
        at = end + 1 + int(count)
        out.append(Change(call, pathlib.PurePath(path), other, int(offset), text[end + 1 : at]))
    return out


def record(world):
    """The folder before, and the changes that COMMANDS made to it, with their places."""
    def make(folder):
        shutil.copytree(world.once("saved", make_saved(world)), folder / "before")
        shutil.copytree(folder / "before", folder / "saved")
        answers = world.save([c.format(folder / "saved") for c in COMMANDS], shim(folder / "saved", log=folder / "log"))
        assert all("saved" in a for a in answers), answers

    folder = world.once("recorded", make)
    root = folder.with_name("recorded.tmp") / "saved"  # the folder's name when it was recorded
    return folder / "before", root, read_changes(next(folder.glob("log.*")))


class File:
    def __init__(self, data=b""):
        self.data, self.synced = bytearray(data), bytes(data)


class Folder:
    """Names and what they stand for: as programs see them, and as the disk is sure to hold them."""

    def __init__(self):
        self.names, self.synced = {}, {}


def read_tree(path):
    tree = Folder()
    for entry in path.iterdir():
        tree.names[entry.name] = read_tree(entry) if entry.is_dir() else File(entry.read_bytes())
    tree.synced = dict(tree.names)
    return tree


class Disk:
    def __init__(self, before, root):
        self.tree, self.root = read_tree(before), root

    def at(self, path):
        node = self.tree
        for name in pathlib.PurePath(path).relative_to(self.root).parts:
            node = node.names[name]
        return node

    def apply(self, change):
        parent = self.at(change.path.parent) if change.path != self.root else None
        name, call = change.path.name, change.call
        if call == "open" and change.other == "created":
            parent.names[name] = File()
        elif call == "open" and change.other == "emptied":
            parent.names[name].data.clear()
        elif call == "mkdir":
            parent.names[name] = Folder()
        elif call == "write":
            data = parent.names[name].data
            data[change.offset : change.offset + len(change.data)] = change.data
        elif call == "fsync":
            node = self.at(change.path)
            node.synced = bytes(node.data) if isinstance(node, File) else dict(node.names)
        elif call == "rename":
            to = pathlib.PurePath(change.other)
            self.at(to.parent).names[to.name] = parent.names.pop(name)
        elif call == "exchange":
            to = pathlib.PurePath(change.other)
            other = self.at(to.parent)
            parent.names[name], other.names[to.name] = other.names[to.name], parent.names[name]
        elif call == "link":
            parent.names[name] = self.at(change.other)
        elif call == "unlink":
            del parent.names[name]

    def survivors(self, tree, where, keeps):
        """Writes to `where` what is left: `keeps(kind)` tells for each file and folder whether what was not synced
        survives."""
        where.mkdir()
        for name, node in (tree.names if keeps("names") else tree.synced).items():
            if isinstance(node, Folder):
                self.survivors(node, where / name, keeps)
            else:
                (where / name).write_bytes(bytes(node.data) if keeps("data") else node.synced)


# What survives of what was not synced. "all": the process was killed, the power stayed. "names": a journal that orders
# names before data.
MODES = {"all": lambda rng: lambda kind: True, "nothing": lambda rng: lambda kind: False,
         "names": lambda rng: lambda kind: kind == "names", "some": lambda rng: lambda kind: rng.random() < 0.5}


def step_of(path):
    found = re.fullmatch(r"step-(\d+)", pathlib.PurePath(path).name)
    return int(found.group(1)) if found else None


def commits(changes, root):
    """[(step, index of its rename, index of the sync of the parent after it)]."""
    out = []
    for n, change in enumerate(changes):
        step = step_of(change.other) if change.call in ("rename", "exchange") else None
        if step is not None:
            synced = next((m for m, c in enumerate(changes) if m > n and c.call == "fsync" and c.path == root),
                          len(changes))
            out.append((step, n, synced))
    return out


def power_lost(position, mode):
    def case(world, folder, rng):
        """The power fails after a part of the changes."""
        before, root, changes = record(world)
        end = round(position * len(changes))
        disk = Disk(before, root)
        for change in changes[:end]:
            disk.apply(change)
        disk.survivors(disk.tree, folder / "saved", MODES[mode](rng))
        done = commits(changes, root)
        new = max([step for step, renamed, _ in done if renamed < end], default=30)
        old = new if mode == "all" else max([step for step, _, synced in done if synced < end], default=30)
        answer = world.ask(f"find {folder / 'saved'}")
        held = answer.get("right") and old <= answer["step"] <= new and not answer["refused"]
        return Outcome(bool(held), note=f"{mode} after change {end} of {len(changes)}: "
                                        f"expected step {old} to {new}: {answer}")

    return case


def power_cases(number):
    """Every change with every mode; "some" takes the rest, with other survivors each time."""
    modes = ["all", "nothing", "names", "some"]
    return [power_lost((n // 4 + 1) / max(1, number // 4), modes[n % 4]) for n in range(number)]


def ordered(world, folder, rng):
    """The order that makes a commit: write < fsync(file) < fsync(folder) < rename < fsync(parent)."""
    _, root, changes = record(world)
    for step, renamed, synced in commits(changes, root):
        draft = changes[renamed].path
        mine = [(n, c) for n, c in enumerate(changes[:renamed]) if c.path.parent == draft and (c.call != "unlink")]
        mkdir = max(n for n, c in enumerate(changes[:renamed]) if c.call == "mkdir" and c.path == draft)
        folder_synced = max((n for n, c in enumerate(changes[:renamed]) if c.call == "fsync" and c.path == draft),
                            default=-1)
        for name in {c.path for n, c in mine if n > mkdir and c.call in ("open", "write")}:
            last = {call: max((n for n, c in mine if c.call == call and c.path == name), default=-1)
                    for call in ("write", "fsync")}
            if not mkdir < last["write"] < last["fsync"] < folder_synced < renamed < synced < len(changes):
                return Outcome(False, note=f"step {step}, {name}: {last}, folder synced {folder_synced}, "
                                           f"renamed {renamed}, parent {synced}")
        late = [c for c in changes[renamed:] if c.call == "write" and step_of(c.path.parent) == step]
        if late:
            return Outcome(False, note=f"step {step}: {late[0].path} was written after the commit")
    return Outcome(True)


# What a run may write besides its own folder: MPI's session folder and shared memory, devices, files that are memory
# without a name.
ELSEWHERE = re.compile(r"/(dev/|proc/|tmp/ompi\.|memfd:)")


def nothing_elsewhere(world, folder, rng):
    """A run changes nothing outside its folder."""
    run = folder / "run"
    job = Job(world.train(run, more=["--log.tensorboard=true", "--log.report=true"],
                          environment=shim("/", log=folder / "log")))
    code = job.wait()
    changes = [c for log in folder.glob("log.*") for c in read_changes(log)]
    outside = sorted({str(c.path) for c in changes
                      if run not in c.path.parents and c.path != run and not ELSEWHERE.match(str(c.path))})
    return Outcome(code == 0 and len(changes) > 100 and not outside,
                   note=f"exit {code}, {len(changes)} changes, outside: {outside[:5]}")
