"""Builds the native library beside the package; without a compiler enfold works through torch."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
PLACE = Path("enfold", "nn", "native")
native = runpy.run_path(str(ROOT / "src" / PLACE / "build.py"), run_name="enfold_native_build")


class Build(build_ext):
    """Our own compiler calls: one library per set of instructions, no Python headers."""

    def run(self) -> None:
        editable = self.inplace or getattr(self, "editable_mode", False)
        target = ROOT / "src" / PLACE if editable else Path(self.build_lib).resolve() / PLACE
        for level, why in native["build"](target).items():
            print(f"enfold: no native kernels for {level}, torch does that work.\n{why}",
                  file=sys.stderr)

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_source_files(self) -> list[str]:
        return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "native").iterdir())]


class Wheel(bdist_wheel):
    """A wheel for any Python on this platform: the library is loaded by ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, plat = super().get_tag()
        return "py3", "none", plat


class Compiled(Distribution):
    """Has a library, so its wheel belongs to a platform; without a compiler it has none."""

    def has_ext_modules(self) -> bool:
        return native["compiler"]() is not None


setup(distclass=Compiled, cmdclass={"build_ext": Build, "bdist_wheel": Wheel},
      ext_modules=[Extension("enfold.nn.native._enfold", [])])
