"""What pyproject.toml has no words for."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build
from setuptools_rust import RustExtension, build_rust

#: What tells the cause in cargo's words, the best first: a build script's panic, the crate `cc`,
#: the linker, whatever the compiler says.
CAUSES = (
    r"panicked at .*\n\s*(.+)",
    r"error occurred in cc-rs: (.+?)(?: \(see https:.*)?$",
    r"\b(?:l?ld|mold)(?:\.\w+)?: (?:error: )?(.+)",
    r"^\s*error(?:\[\w+\])?: (.+)",
)


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


class BuildRust(build_rust):
    """Leaves word of why an optional module was not built, as a text file in its place.

    pip does not show what a build prints. `python -m qtloop` shows this.
    """

    def run_for_extension(self, ext: RustExtension) -> None:
        if not ext.optional:
            super().run_for_extension(ext)
            return
        ext.quiet = True  # Then the exception has cargo's words.
        note = self._note(ext)
        note.unlink(missing_ok=True)  # Of a build in place.
        try:
            super().run_for_extension(ext)
        except Exception as error:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(cause(str(error)) + "\n", encoding="utf-8")
            raise

    def _note(self, ext: RustExtension) -> Path:
        build_ext = self.get_finalized_command("build_ext")
        build_ext.inplace = self.inplace
        module = Path(build_ext.get_ext_fullpath(ext.name))
        return module.with_name(ext.name.rpartition(".")[2] + ".txt")


def cause(words: str) -> str:
    """The line that says why, of what a failed build has to say."""
    found = (re.search(pattern, words, re.MULTILINE) for pattern in CAUSES)
    lines = [match[1] for match in found if match] or words.split("\n", 1)
    return lines[0].strip()


setup(cmdclass={"build": FreshBuild, "build_rust": BuildRust})
