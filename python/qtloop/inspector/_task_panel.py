"""The window's tree of tasks, and the buttons for the selected task."""

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any, Final

from .. import _core as rust
from . import _tasks
from ._model import Task
from ._table import set_text, set_texts, text_view
from ._widgets import core, entrance, gui, widgets

if TYPE_CHECKING:
    from .._loop import EventLoop


#: The folders of the libraries that a program calls: asyncio and qtloop.
_LIBRARIES: Final = tuple(
    os.path.join(os.path.dirname(file), "") for file in (asyncio.__file__, rust.__file__ or "")
)


class TaskPanel(widgets.QWidget):  # type: ignore[misc]
    """The tree, the stack of the selected task, and two buttons."""

    def __init__(self, loop: "EventLoop") -> None:
        super().__init__()
        self._loop = weakref.ref(loop)
        self._tasks: dict[int, Task] = {}
        self._shape: list[tuple[int, int | None]] = []
        self._items: dict[int, Any] = {}
        self._rows: dict[int, list[str]] = {}
        self._title = widgets.QLabel()
        self._title.setTextFormat(core.Qt.TextFormat.PlainText)
        self._tree = _tree()
        self._stack = text_view("Stack")
        self._stack.setPlaceholderText("Select a task to see where it stands.")
        self.cancel_button = widgets.QPushButton("&Cancel task")
        self.copy_button = widgets.QPushButton("C&opy stack")
        self.cancel_button.setObjectName("cancel")
        self.copy_button.setObjectName("copy")
        self._connect()
        self._lay_out()
        self._follow_selection()

    def _connect(self) -> None:
        self._tree.itemSelectionChanged.connect(entrance(self._follow_selection))
        self.cancel_button.clicked.connect(entrance(self._cancel))
        self.copy_button.clicked.connect(entrance(self._copy))

    def _lay_out(self) -> None:
        head = widgets.QHBoxLayout()
        head.addWidget(self._title, 1)
        head.addWidget(self.cancel_button)
        head.addWidget(self.copy_button)
        split = widgets.QSplitter()
        split.addWidget(self._tree)
        split.addWidget(self._stack)
        split.setSizes([660, 290])
        layout = widgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(split, 1)

    def refresh(self, limit: int) -> None:
        """Reads the tasks of the loop again and shows them."""
        loop = self._loop()
        if loop is None:
            return
        tasks, more = _tasks.collect(loop, limit, is_outside=True)
        self._tasks = {it.id: it for it in tasks}
        self._title.setText(f"Tasks: {len(tasks) + more}{f', {more} not shown' if more else ''}")
        shape = [(it.id, it.parent) for it in tasks]
        if shape != self._shape:
            self._rebuild(tasks)
            self._shape = shape
        else:
            for task in tasks:
                set_texts(self._items[task.id], self._rows[task.id], _row(task))
        self._rows = {it.id: _row(it) for it in tasks}
        self._follow_selection()

    def selected(self) -> Task | None:
        """The selected task."""
        chosen = self._tree.selectedItems()
        number = chosen[0].data(0, core.Qt.ItemDataRole.UserRole) if chosen else None
        return self._tasks.get(int(number)) if number is not None else None

    def select(self, number: int) -> None:
        """Selects the task with this `id`."""
        self._tree.setCurrentItem(self._items[number])

    def _rebuild(self, tasks: list[Task]) -> None:
        chosen = self.selected_id()
        collapsed = {
            key for key, it in self._items.items() if it.childCount() and not it.isExpanded()
        }
        bar = self._tree.verticalScrollBar()
        position = bar.value()
        self._tree.blockSignals(True)
        try:
            self._items.clear()
            self._tree.clear()
            for task in tasks:
                self._add(task, collapsed)
            if chosen in self._items:
                self._tree.setCurrentItem(self._items[chosen])
        finally:
            self._tree.blockSignals(False)
        bar.setValue(position)

    def _add(self, task: Task, collapsed: set[int]) -> None:
        # The `id` is stored as text, because it does not fit into an int of Qt.
        item = widgets.QTreeWidgetItem(_row(task))
        item.setData(0, core.Qt.ItemDataRole.UserRole, str(task.id))
        above = self._items.get(task.parent) if task.parent is not None else None
        if above is None:
            self._tree.addTopLevelItem(item)
        else:
            above.addChild(item)
        item.setExpanded(task.id not in collapsed)
        self._items[task.id] = item

    def selected_id(self) -> int | None:
        """The `id` of the task that is selected in the tree."""
        chosen = self._tree.selectedItems()
        return int(chosen[0].data(0, core.Qt.ItemDataRole.UserRole)) if chosen else None

    def _follow_selection(self) -> None:
        task = self.selected()
        self.cancel_button.setEnabled(task is not None)
        self.copy_button.setEnabled(task is not None)
        set_text(self._stack, "" if task is None else _stack_text(task))

    def _cancel(self) -> None:
        shown, loop = self.selected(), self._loop()
        task = _tasks.by_id(loop, shown.id) if shown is not None and loop is not None else None
        # Another task may have the same `id` by now.
        if task is not None and shown is not None and _tasks.name_of(task) == shown.name:
            task.cancel()

    def _copy(self) -> None:
        task = self.selected()
        if task is not None:
            gui.QGuiApplication.clipboard().setText(_stack_text(task))


def _tree() -> Any:
    tree = widgets.QTreeWidget()
    tree.setAccessibleName("Tasks")
    tree.setObjectName("tasks")
    tree.setHeaderLabels(["Task", "State", "Coroutine", "Where"])
    tree.setUniformRowHeights(True)
    for column, width in enumerate((140, 270, 130)):
        tree.setColumnWidth(column, width)
    return tree


def _row(task: Task) -> list[str]:
    state = f"waits for {task.waits_for}" if task.state == "waiting" else task.state
    if task.cancelling:
        state = f"is being cancelled, {state}"
    return [task.name, state, task.coroutine, _where(task)]


def _where(task: Task) -> str:
    """The innermost place in the program's own code. If there is none, the innermost place in a
    library."""
    own = [it for it in task.stack if not it.file.startswith(_LIBRARIES)]
    place = (own or task.stack)[-1:]
    return f"{os.path.basename(place[0].file)}:{place[0].line}" if place else ""


def _stack_text(task: Task) -> str:
    """The task and its stack in the form of a traceback, with the innermost call last."""
    lines = [f"Task {task.name} ({task.coroutine}), {_row(task)[1]}"]
    if task.awaited_by:
        lines.append(f"awaited by {', '.join(task.awaited_by)}")
    for it in task.stack:
        lines.append(f'  File "{it.file}", line {it.line}, in {it.function}')
    return "\n".join(lines)
