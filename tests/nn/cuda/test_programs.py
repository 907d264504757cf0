"""The Triton programs become machine code for GPUs, which needs none: what the interpreter does not
check, types and layouts."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

CODE = """
import json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from enfold.nn.cuda import four, programs

WHOLE = ("start", "count", "outputs", "inputs", "size", "nest", "rows")


def made(program, arch, dtype, scales, absent, **constants):
    constants |= dict.fromkeys(absent)
    types = {name: "i32" for name in WHOLE} | {"offset": "fp32", "packed": "*u8", "zeros": "*u8",
             "scales": scales, "x": f"*{dtype}", "out": f"*{dtype}", "bias": f"*{dtype}"}
    names = program.arg_names
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32")
                 for name in names}
    even = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names)
            if signature[name].startswith("*") or name in ("outputs", "inputs", "size")}
    source = ASTSource(program, signature, {(names.index(name),): value
                                            for name, value in constants.items()}, even)
    done = triton.compile(source, target=GPUTarget("cuda", arch, 32))
    return {"arch": arch, "program": program.__name__, "bytes": len(done.asm["cubin"]),
            "local": ".local" in done.asm["ptx"], "shared": done.metadata.shared}


found = []
for arch in (80, 90):
    found.append(made(programs.decode, arch, "bf16", "*bf16", ["values"], TABLE=False, ZEROS=True,
                      PAIRS=four.PAIRS))
    for rows, run in ((1, 64), (four.FEW, 32)):
        sizes = {"RUN": run, "RUNS": 2 * four.BYTES // run, "OUTPUTS": four.OUTPUTS, "ROWS": rows}
        found.append(made(programs.product, arch, "bf16", "*u8", ["zeros"], TABLE=True,
                          ZEROS=False, NESTED=True, BIAS=True, **sizes))
        found.append(made(programs.product, arch, "bf16", "*bf16", ["values", "steps", "outer"],
                          TABLE=False, ZEROS=True, NESTED=False, BIAS=True, **sizes))
print(json.dumps(found))
"""


@pytest.mark.skipif(find_spec("triton") is None,
                    reason="Triton is not installed: torch's CUDA wheels bring it")
def test_they_compile_for_ampere_and_hopper(python, tmp_path) -> None:
    done = python("-W", "ignore", "-c", CODE, env={"TRITON_CACHE_DIR": str(tmp_path)})
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 10
    for each in found:
        assert each["bytes"] and each["shared"] <= 48 * 1024, each
        assert not each["local"], each
