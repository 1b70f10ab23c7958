"""The operating system that the package runs on, chosen here and nowhere else."""

import sys

if sys.platform == "win32":
    from ._windows import Loop, after_fork_in_child, default_policy
else:
    from ._unix import Loop, after_fork_in_child, default_policy

__all__ = ["Loop", "after_fork_in_child", "default_policy"]
