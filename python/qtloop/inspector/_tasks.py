"""The tree of tasks."""

import asyncio
import re
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from . import _names, _stacks
from ._awaiting import AnyTask, Awaiting, shielded
from ._model import Task

if TYPE_CHECKING:
    from .._loop import EventLoop

_NUMBERS: Final = re.compile(r"(\d{1,18})")


def collect(loop: "EventLoop", limit: int, *, is_outside: bool = False) -> tuple[list[Task], int]:
    """The loop's tasks in the order of their tree, and how many more there are. `is_outside` says
    that Qt called this code, and not a task. If there is a current task then, Qt's event loop runs
    inside that task."""
    tasks = sorted(asyncio.all_tasks(loop), key=_order)
    awaiting = Awaiting(tasks)
    awaiters = {task: awaiting.of(task) for task in tasks}
    current = None if is_outside else asyncio.current_task(loop)
    bases = {task: base for task in tasks if (base := _stacks.base_of(task)) is not None}
    found = []
    for task, parent, depth in _in_tree_order(tasks, awaiters)[:limit]:
        others = {base for other, base in bases.items() if other is not task}
        told = _described(task, current, others)
        found.append(
            Task(
                id=id(task),
                name=_names.of_task(task),
                awaited_by=tuple(_names.of_task(it) for it in awaiters[task]),
                parent=None if parent is None else id(parent),
                depth=depth,
                **told,
            )
        )
    return found, len(tasks) - len(found)


def name_of(task: AnyTask) -> str:
    """The name of the task, as it is shown."""
    return _names.of_task(task)


def by_id(loop: "EventLoop", number: int) -> AnyTask | None:
    """The task with this `id`, if it is not done."""
    return next((task for task in asyncio.all_tasks(loop) if id(task) == number), None)


def _order(task: AnyTask) -> list[tuple[int, int | str]]:
    """The sort key of a task: its name, with Task-2 before Task-10."""
    parts = _NUMBERS.split(_names.of_task(task), maxsplit=9)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _in_tree_order(
    tasks: list[AnyTask], awaiters: dict[AnyTask, list[AnyTask]]
) -> list[tuple[AnyTask, AnyTask | None, int]]:
    """Each task with its parent and its depth. A task comes after its parent."""
    known = set(tasks)
    children: dict[AnyTask, list[AnyTask]] = {}
    roots: list[AnyTask] = []
    for task in tasks:
        parent = next((it for it in awaiters[task] if it in known and it is not task), None)
        (roots if parent is None else children.setdefault(parent, [])).append(task)
    order: list[tuple[AnyTask, AnyTask | None, int]] = []
    seen: set[AnyTask] = set()
    # Tasks that wait for each other have no root. The first of them is used as the root.
    for root in (*roots, *tasks):
        todo: list[tuple[AnyTask, AnyTask | None, int]] = [(root, None, 0)]
        while todo:
            task, above, depth = todo.pop()
            if task not in seen:
                seen.add(task)
                order.append((task, above, depth))
                todo.extend((it, task, depth + 1) for it in reversed(children.get(task, ())))
    return order


def _described(task: AnyTask, current: AnyTask | None, others: set[FrameType]) -> dict[str, Any]:
    frames, lines, awaited = _stacks.of_task(task, others)
    waiter = getattr(task, "_fut_waiter", None)
    if task is current:
        state, waits_for = "running", ""
    elif awaited is None and frames:
        state, waits_for = "running", "an event loop that runs inside it"
    elif waiter is None:
        state, waits_for = "ready", ""
    else:
        state, waits_for = "waiting", _describe(waiter, awaited, frames)
    return {
        "coroutine": _names.of_coroutine(task.get_coro()),
        "state": state,
        "waits_for": waits_for,
        "stack": _stacks.described(frames, lines),
        "cancelling": bool(task.cancelling() or getattr(task, "_must_cancel", False)),
    }


def _describe(waiter: Any, awaited: Any, frames: list[FrameType]) -> str:
    """What a task waits for, in words."""
    if isinstance(waiter, asyncio.Task):
        return f"task {_names.of_task(waiter)}"
    children = getattr(waiter, "_children", None)
    if isinstance(children, list):
        done = sum(1 for it in children if it.done())
        return f"gather of {len(children)}, {done} done"
    inner = shielded(waiter)
    if inner is not None:
        of = f"task {_names.of_task(inner)}" if isinstance(inner, asyncio.Task) else "a future"
        return f"shield of {of}"
    module = str(frames[-1].f_globals.get("__name__")) if frames else ""
    if module.split(".")[0] in ("asyncio", "qtloop"):
        return f"{_names.plain(frames[-1].f_code.co_qualname)}()"
    if awaited is not None and type(awaited).__name__ == "SocketOperation":
        return f"{_names.of_coroutine(awaited)}()"
    return "a future"
