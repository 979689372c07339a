"""Sliding windows of three frames that stay inside their shot."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

WINDOW_REACH = 1
"""Frames on either side of the one in the middle."""


def windows(
    items: Iterable[Item], starts_shot: Callable[[Item], bool]
) -> Iterator[tuple[Item, Item, Item]]:
    """Yield (previous, current, next) for every item, holding three of them at a time.

    At the ends of the film and on both sides of a cut the missing neighbour is the item itself,
    so nothing crosses a cut.

    Args:
        items: the frames of a film, in order; drawn one ahead of what is yielded.
        starts_shot: whether an item is the first of its shot.
    """
    previous: Item | None = None
    current: Item | None = None
    for coming in items:
        if current is not None:
            following = current if starts_shot(coming) else coming
            yield current if previous is None else previous, current, following
            previous = None if starts_shot(coming) else current
        current = coming
    if current is not None:
        yield current if previous is None else previous, current, current


def surroundings(items: Iterable[Item], reach: int) -> Iterator[tuple[Sequence[Item], int]]:
    """Yield for every item its neighbours and itself, and its index among them.

    Args:
        items: in order; drawn `reach` ahead of what is yielded.
        reach: number of neighbours on either side; fewer at the ends.
    """
    held: deque[Item] = deque(maxlen=2 * reach + 1)
    drawn = yielded = 0
    for item in items:
        held.append(item)
        drawn += 1
        if drawn > reach:
            yield list(held), len(held) - 1 - reach
            yielded += 1
    for left in range(drawn - yielded, 0, -1):
        first = max(0, len(held) - left - reach)
        yield list(held)[first:], len(held) - left - first
