"""The summary. It uses only the file of finished items and the workflow's result."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise

from done_file import Done


@dataclass(frozen=True)
class Leg:
    """The items of one attempt."""

    attempt: int
    language: str
    first: int
    last: int


@dataclass(frozen=True)
class Summary:
    items: int
    legs: list[Leg]
    twice: list[int]
    lost: list[int]
    result: int
    faults: list[str]  # empty if the run was correct


def summarize(done: list[Done], items: int, languages: list[str], result: int) -> Summary:
    """Checks a relay of these languages, in which each attempt except the last was killed."""
    legs, faults = [], []
    for (attempt, language), lines in groupby(done, lambda line: (line.attempt, line.language)):
        numbers = [line.item for line in lines]
        legs.append(Leg(attempt, language, numbers[0], numbers[-1]))
        if numbers != list(range(numbers[0], numbers[-1] + 1)):
            faults.append(f"attempt {attempt} did not do its items one after the other: {numbers}")

    expected = list(enumerate(languages, start=1))
    if [(leg.attempt, leg.language) for leg in legs] != expected:
        faults.append(f"the attempts were not {expected}")
    for before, after in pairwise(legs):
        if after.first not in (before.last, before.last + 1):
            faults.append(f"attempt {after.attempt} began with item {after.first}, though {before.last} was done last")

    times = Counter(line.item for line in done)
    lost = [item for item in range(1, items + 1) if item not in times]
    if lost:
        faults.append(f"lost: {lost}")
    if times and (min(times) < 1 or max(times) > items):
        faults.append(f"there are only items 1 to {items}")
    if result != items:
        faults.append(f"the workflow returned {result}")

    return Summary(items, legs, [item for item in sorted(times) if times[item] > 1], lost, result, faults)


def report(summary: Summary, titles: list[str], seconds: float) -> str:
    kills = plural(len(titles) - 1, "kill")
    twice = f"{len(summary.twice)} (at most one a kill)" + "".join(f", item {item}" for item in summary.twice)
    return "\n".join(
        [
            "",
            f"  {summary.items} items, {plural(len(titles), 'attempt')}, {kills}, {seconds:.1f} s",
            "",
            *(
                f"  attempt {leg.attempt}   {title:<10} items {leg.first} to {leg.last}"
                for leg, title in zip(summary.legs, titles, strict=False)
            ),
            f"  done twice  {twice}",
            f"  lost        {len(summary.lost)}",
            f"  result      {summary.result}, returned by the workflow",
            "",
            *(f"  WRONG: {fault}" for fault in summary.faults),
            *([] if summary.faults else ["  All is well."]),
        ]
    )


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
