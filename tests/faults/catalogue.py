"""The catalogue: a row for every promise of the reliability page that ranks on CPUs can show. R15 is tests/fuzz and the
table of bad inputs, R17 tests/bench checkpoint."""

import dataclasses
from typing import Callable

from faults import damage, disks, power, runs, soak


@dataclasses.dataclass
class Row:
    promise: str
    cases: list[Callable]
    unit: str = ""  # of the worst figure
    limit: float = 0  # that it must not pass; 0: none
    quick: bool = False  # needs no run, and comes before those that do
    alone: bool = False  # nothing else may run meanwhile: the last


def catalogue(full):
    """All rows; `full`: with the numbers of the reliability page."""
    def times(case, many, few):
        return [case] * (many if full else few)

    sizes = [int(60 * 1.13**n) for n in range(40)]  # KiB
    return [
        Row("R1 R2 kill anywhere", times(runs.killed_anywhere, 100, 2)),
        Row("R2 every sample once", times(runs.samples_once, 10, 1)),
        Row("R1 R2 kill at a named place",
            [runs.killed_at_failpoint(n) for n in (range(120) if full else range(0, 40, 8))]),
        Row("R3 damaged checkpoint", times(damage.damaged_files, 2000, 100), "s", 10, quick=True),
        Row("R3 damaged, in a run", times(damage.damaged_run, 40, 3)),
        Row("R4 full disk", [disks.full_disk(s) for s in (sizes if full else sizes[4::12])], "s until gone", 10),
        Row("R4 failing call, in a run", times(disks.failing_run, 60, 3), "s until gone", 10),
        Row("R4 failing call", disks.failing_saves(2625 if full else 35), "s", 10, quick=True),
        Row("R5 unusable place", [runs.bad_place(kind) for kind in runs.PLACES], "s until refused", 5),
        Row("R5 removed folder", times(runs.removed_folder, 5, 1)),
        Row("R6 signal", times(runs.signalled, 67, 3), "s until exit 75", 5),
        Row("R6 signal before main", times(runs.signalled_before_main, 4, 1)),
        Row("R7 dead rank", [runs.dead_rank(how) for how in runs.DEATHS] * (20 if full else 1), "s until gone", 5),
        Row("R8 hung rank", times(runs.stopped_rank, 50, 2), "s beyond the deadline", 10),
        Row("R9 resharded", [runs.resharded(chain) for chain in ([1, 2, 3, 4, 1], [4, 3, 2], [7, 60])]),
        Row("R9 export", times(runs.exported, 1, 1)),
        Row("R10 same bytes", times(runs.repeated(70 if full else 5), 5, 1)),
        Row("R11 not finite", times(runs.not_finite, 20, 2)),
        Row("R12 flipped bit", times(runs.flipped_bit, 20, 2)),
        Row("R13 slow rank", times(runs.slow_rank, 5, 1)),
        Row("R13 no false alarm", [runs.no_false_alarm(10000 if full else 300)], "steps", alone=True),
        Row("R14 failed save", times(runs.failed_save, 30, 2)),
        Row("R16 soak", [soak.soaked(40, 200) if full else soak.soaked(4, 30)], "% of steps repeated", 20),
        Row("R19 crash loop", times(runs.crash_loop, 3, 1)),
        Row("R20 power loss", power.power_cases(1000 if full else 80), quick=True),
        Row("R20 order of calls", [power.ordered], quick=True),
        Row("R20 nothing elsewhere", times(power.nothing_elsewhere, 2, 1)),
    ]


# The test of the tests: saves that are wrong in these ways must not pass the quick rows.
VARIANTS = ["no_fsync", "early_rename", "short_write"]
