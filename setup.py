"""What pyproject.toml has no words for."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build


class FreshBuild(build):
    """Begins with nothing of an earlier build.

    What that could build and this one cannot, such as the native host without Qt's headers, would
    be in the wheel still.
    """

    def run(self) -> None:
        for left in Path(self.build_lib).glob("*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        super().run()


setup(cmdclass={"build": FreshBuild})
