"""Compile all Triton kernels for a GPU that need not be here.

python tools/compile_triton.py                  # for an H100
python tools/compile_triton.py hip gfx942 64
python tools/compile_triton.py --check          # one kernel
"""

from __future__ import annotations

import argparse
from typing import Any

try:
    import triton
except ImportError:
    raise SystemExit("not run: triton is not installed, which comes with torch's CUDA wheels") from None
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from apu_losses.geometry.cuda import common, nearest_kernels, region_kernels, soft_kernels, winding_kernels

_F, _I, _S, _N = "*fp32", "*i64", "*i32", "i32"

_EDGES = dict.fromkeys(("row_a", "row_b", "group_a", "group_b"), _I)
_VERTS = {"verts_a": _F, "verts_b": _F}
_LISTS = dict.fromkeys(("offsets_a", "ids_a", "offsets_b", "ids_b"), _I)
_TILE = {"BM": 32, "BN": 32}


def kernels() -> list[tuple[Any, dict[str, str], dict[str, Any], int]]:
    """All kernels, each with the types of its arguments, its compile-time constants and its number of
    warps.
    """
    query = {"queries": _N, "padded": _N}
    rows, count = {"row_q": _I, "row_m": _I, "wanted": "*u8"}, {"rows_q": _N, "rows_m": _N}
    has = {"HAS_ROWS": True, "HAS_WANTED": True}
    tree = {"points": _F, "triangles": _F, "nodes": _F, "start": _I, "end": _I, "skip": _I, "boxes": _F}
    tree |= {"finite": _S, "slots": _I}
    edge = _VERTS | dict.fromkeys(("row_a", "row_b", "index_a", "index_b"), _I) | {"gradient": _F}
    part = {"part_d2": _F, "part_key": _I}
    found = {"out_d2": _F, "out_a": _I, "out_b": _I}
    return [
        *(
            (
                region_kernels.region_min_kernel,
                _VERTS | _EDGES | {"union_offsets": _I, "union_regions": _I} | _LISTS | found | part
                | dict.fromkeys(("count_a", "count_b", "rows_a", "rows_b", "groups_a", "groups_b"), _N)
                | {"limit": "fp32"},
                {**_TILE, "PARTS": parts, "DENSE": dense, "HAS_UNIONS": not dense},
                4,
            )
            for parts, dense in ((16, False), (1, True))
        ),
        (
            region_kernels.region_nearest_kernel,
            dict.fromkeys(("verts_q", "verts_t"), _F)
            | dict.fromkeys(("row_q", "row_t", "group_q", "group_t"), _I)
            | dict.fromkeys(("offsets_q", "ids_q", "offsets_t", "ids_t", "start"), _I)
            | {"out_d2": _F, "out_q": _I, "out_t": _I}
            | dict.fromkeys(("count_q", "count_t", "rows_q", "rows_t"), _N),
            {**_TILE, "PARTS": 16},
            4,
        ),
        (
            region_kernels.least_part_kernel,
            part | found | {"edges": _N, "count_b": _N, "limit": "fp32"},
            {"BM": 64, "PARTS": 16},
            4,
        ),
        *(
            (
                region_kernels.edge_gradient_kernel,
                edge | {"out_a": _F, "out_b": _F} | dict.fromkeys(("edges", "count_a", "count_b"), _N),
                {"BM": 32, "BN": 64, "SAME": same},
                4,
            )
            for same in (False, True)
        ),
        (
            nearest_kernels.nearest_kernel,
            {"points": _F, "vertices": _F, "slots": _I} | rows | {"finite": _S}
            | {"out_d2": _F, "out_id": _I} | query | {"targets": _N} | count
            | {"limit": "fp32", "skipped": "fp32"},
            _TILE | has,
            4,
        ),
        (
            nearest_kernels.surface_kernel,
            {"points": _F, "corners": _F, "slots": _I, "face_slots": _I, "boxes": _F} | rows
            | {"finite": _S, "out_d2": _F, "out_face": _I, "out_weights": _F}
            | query | {"tiles": _N} | count | {"limit": "fp32", "skipped": "fp32"},
            _TILE | {"SCAN": 128} | has,
            4,
        ),
        (
            nearest_kernels.face_tiles_kernel,
            {"vertices": _F, "faces": _I, "order": _I, "corners": _F, "boxes": _F}
            | {"vertex_count": _N, "tiles": _N},
            {"BN": 32},
            1,
        ),
        (common.finite_kernel, {"values": _F, "out": _S, "count": _N}, {"BN": 4096}, 8),
        (
            winding_kernels.fit_nodes_kernel,
            {"vertices": _F, "faces": _I, "order": _I, "start": _I, "end": _I, "skip": _I, "triangles": _F}
            | {"nodes": _F, "spans": _F}
            | dict.fromkeys(("vertex_count", "face_count", "count", "rows"), _N),
            {"SMALL": 32, "UNIT": 128},
            1,
        ),
        (
            winding_kernels.join_units_kernel,
            {"start": _I, "end": _I, "nodes": _F, "spans": _F, "boxes": _F, "finite": _S}
            | {"count": _N, "rows": _N},
            {"UNIT": 128, "BU": 128, "EACH": 16},
            4,
        ),
        (
            winding_kernels.inside_kernel,
            tree | rows | {"out": "*u8"} | query | {"faces": _N, "count": _N, "rows": _N} | count
            | {"beta": "fp32", "low": "fp32", "high": "fp32"},
            {"BM": 32, "LEAF": 8} | has,
            1,
        ),
        *(
            (
                winding_kernels.winding_kernel,
                tree | rows | {"out": _F, "out_bound": _F} | query
                | {"faces": _N, "count": _N, "rows": _N} | count | {"beta": "fp32"},
                {"BM": 32, "LEAF": 8, "EXACT": exact, "BOXED": True} | has,
                1,
            )
            for exact in (False, True)
        ),
        (
            soft_kernels.soft_min_kernel,
            _VERTS | _EDGES | _LISTS | {"part_least": _F, "part_sum": _F}
            | {"count_a": _N, "count_b": _N, "temperature": "fp32"},
            _TILE,
            4,
        ),
        (
            soft_kernels.soft_join_kernel,
            dict.fromkeys(("part_least", "part_sum", "out", "out_least", "out_sum"), _F)
            | {"edges": _N, "temperature": "fp32"},
            {"BM": 64, "PARTS": 16},
            4,
        ),
        (
            soft_kernels.soft_gradient_kernel,
            _VERTS | _EDGES | _LISTS | {"least": _F, "sums": _F, "gradient": _F, "first": _I, "out": _F}
            | {"count_a": _N, "count_b": _N, "temperature": "fp32"},
            _TILE,
            4,
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backend", nargs="?", default="cuda", choices=("cuda", "hip"))
    parser.add_argument("arch", nargs="?", default="90", help="compute capability, or the name of an AMD GPU")
    parser.add_argument("warp", nargs="?", type=int, default=32, help="threads of a warp")
    parser.add_argument("--check", action="store_true", help="one kernel only")
    options = parser.parse_args()
    arch = int(options.arch) if options.arch.isdigit() else options.arch
    target = GPUTarget(options.backend, arch, options.warp)
    for kernel, types, constants, warps in kernels()[: 1 if options.check else None]:
        signature = types | dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature=signature, constexprs=constants)
        built = triton.compile(source, target=target, options={"num_warps": warps, "enable_fp_fusion": False})
        sizes = {k: len(v) for k, v in built.asm.items() if k in ("ptx", "cubin", "amdgcn", "hsaco")}
        print("compiled", kernel.__name__, constants, sizes)


if __name__ == "__main__":
    main()
