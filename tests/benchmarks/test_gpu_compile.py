"""Reading compiled programs, what they must not contain, and the compiler where it is installed."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import gpu_compile
from benchmarks.gpu import checks, summary
from benchmarks.gpu.absent import Compiled, Compiler, UnavailableError
from benchmarks.gpu.cards import CARDS
from benchmarks.gpu.kernels import Loop, kernels_of
from benchmarks.gpu.programs import Wanted
from benchmarks.gpu.scheduled import scheduled

TEXT = """\
HloModule jit_f, is_scheduled=true

%fused_gather (param_0.1: f32[1000,10], param_1.2: s32[5]) -> f32[5,10] {
  %param_0.1 = f32[1000,10]{1,0} parameter(0)
  %param_1.2 = s32[5]{0} parameter(1)
  ROOT %gather.1 = f32[5,10]{1,0} gather(%param_0.1, %param_1.2), offset_dims={1}
}

%gemm (parameter_0: f32[5,10], parameter_1: f32[10,20]) -> f32[5,20] {
  %parameter_0 = f32[5,10]{1,0} parameter(0)
  %parameter_1 = f32[10,20]{1,0} parameter(1)
  ROOT %dot.1 = f32[5,20]{1,0} dot(%parameter_0, %parameter_1), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}, algorithm=dot_tf32_tf32_f32
}

%body (arg: (s32[], f32[1000,10], f32[10,20], s32[5])) -> (s32[], f32[5,20]) {
  %arg = (s32[], f32[1000,10]{1,0}, /*index=2*/f32[10,20]{1,0}, s32[5]{0}) parameter(0)
  %get.1 = f32[1000,10]{1,0} get-tuple-element(%arg), index=1
  %get.2 = f32[10,20]{1,0} get-tuple-element(%arg), index=2
  %get.3 = s32[5]{0} get-tuple-element(%arg), index=3
  %rows = f32[5,10]{1,0} fusion(%get.1, %get.3), kind=kLoop, calls=%fused_gather, \
metadata={op_name="jit(f)/gather"}
  %product = f32[5,20]{1,0} fusion(%rows, %get.2), kind=kCustom, calls=%gemm
  ROOT %tuple.1 = (s32[], f32[5,20]{1,0}) tuple(%arg, %product)
}

ENTRY %main (p0: f32[1000,10], p1: f32[10,20], p2: s32[5]) -> f32[5,20] {
  %p0 = f32[1000,10]{1,0} parameter(0)
  %p1 = f32[10,20]{1,0} parameter(1)
  %p2 = s32[5]{0} parameter(2)
  %start = (s32[], f32[1000,10]{1,0}, f32[10,20]{1,0}, s32[5]{0}) tuple(%p2, %p0, %p1, %p2)
  %loop = (s32[], f32[5,20]{1,0}) while(%start), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"7"}}
  ROOT %copy.1 = f32[5,20]{1,0} copy(%loop)
}
"""


def program(text=TEXT, assembly=None):
    """Return a compiled program of this text."""
    return Compiled(scheduled(text), assembly or {}, 0, 0, 0)


def test_kernels_are_counted_with_their_bytes_and_rounds():
    kernels, loops = kernels_of(scheduled(TEXT))
    assert [(k.name, k.kind, k.times) for k in kernels] == [
        ("rows", "other", 7),
        ("product", "product", 7),
        ("copy.1", "other", 1),
    ]
    rows, product, _ = kernels
    assert rows.n_bytes == 4 * (5 * 10 + 5 + 5 * 10)  # of the 1,000 rows only those gathered
    assert product.n_bytes == 4 * (5 * 10 + 10 * 20 + 5 * 20)
    assert product.operations == 2 * 5 * 10 * 20
    assert not loops


def test_loops_that_depend_on_data_are_named():
    _, loops = kernels_of(scheduled(TEXT.replace('{"known_trip_count":{"n":"7"}}', "{}")))
    assert [(loop.name, loop.opcode) for loop in loops] == [("loop", "while")]
    for name in ("step", "prediction"):
        assert len(checks.decisions(loops, name)) == 1


def test_a_training_may_decide_before_its_loop_and_nothing_else_may():
    before, inside = (
        Loop("cond.1", f"jit(f)/{at}", "conditional") for at in ("cond", "while/cond")
    )
    assert not checks.decisions([before], "step")
    assert checks.decisions([inside], "step") and checks.decisions([before], "evaluation")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("algorithm=dot_tf32_tf32_f32", "operand_precision={highest,highest}", "not in tf32"),
        ("%p2 = s32[5]{0} parameter(2)", "%p2 = f64[5]{0} parameter(2)", "float64"),
        ("%copy.1 = f32[5,20]{1,0} copy(%loop)", "%copy.1 = f32[] outfeed(%loop)", "outfeed"),
        (
            "copy(%loop)",
            'custom-call(%loop), custom_call_target="xla_ffi_python_gpu_callback"',
            "callback",
        ),
    ],
)
def test_what_must_not_be_there_is_named(old, new, said):
    assert not checks.problems(program(), "tf32")
    assert old in TEXT
    (problem,) = checks.problems(program(TEXT.replace(old, new)), "tf32")
    assert said in problem


MMA = "mma.sync.aligned.m16n8k8.row.col.f32.{}.{}.f32 {{%r1}}"


def test_assembly_tells_what_products_are_rounded_to():
    of = {name: {"gemm_fusion_1": MMA.format(name, name)} for name in ("tf32", "bf16")}
    exact = {"gemm_fusion_1": "fma.rn.f32 %f1"}
    for precision in ("tf32", "bf16"):
        text = TEXT.replace("tf32_tf32", f"{precision}_{precision}")
        assert not checks.problems(program(text, of[precision]), precision)
        assert checks.problems(program(text, exact), precision)
    assert checks.problems(program(assembly=of["bf16"]), "tf32")
    highest = TEXT.replace("algorithm=dot_tf32_tf32_f32", "operand_precision={highest,highest}")
    assert not checks.problems(program(highest, exact), "float32")
    assert checks.problems(program(highest, of["tf32"]), "float32")


def test_more_kernels_or_bytes_or_passes_are_worse():
    def costs(kernels, megabytes, passes):
        return {"kernels": kernels, "megabytes": megabytes, "passes": passes}

    before = costs(100, 1000.0, 7)
    assert not summary.worse(costs(105, 1050.0, 7), before)
    assert len(summary.worse(costs(106, 1051.0, 7), before)) == 2
    assert summary.worse(costs(100, 1000.0, 8), before) == ["passes: 8 where there were 7"]
    assert not summary.worse(costs(100, 1000.0, None), costs(100, 1000.0, None))


def test_without_a_compiler_it_is_skipped_with_a_word(capsys, monkeypatch):
    def missing(card):
        raise UnavailableError("there is no compiler for GPUs here")

    monkeypatch.setattr(gpu_compile, "Compiler", missing)
    assert gpu_compile.main(["--quick"]) == gpu_compile.UNAVAILABLE
    assert "skipped: there is no compiler" in capsys.readouterr().err


@pytest.fixture(scope="module")
def compiler():
    """Return the compiler for an H100; skip without it."""
    try:
        return Compiler(CARDS["h100"])
    except UnavailableError as error:
        pytest.skip(str(error))


def test_it_compiles_for_a_card_that_is_not_there(compiler):
    def function(a, b):
        with jax.default_matmul_precision("TF32_TF32_F32"):
            return jnp.tanh(a @ b).sum()

    kinds = [jax.ShapeDtypeStruct((256, 256), jnp.float32)] * 2
    found = compiler(function, kinds)
    assert not checks.problems(found, "tf32") and checks.problems(found, "float32")
    assert checks.products(found) == 1


def test_a_tiny_step_has_no_problems(compiler):
    wanted = Wanted("published", "tiny", "step", "tf32")
    found = compiler(*wanted.made())
    assert not checks.problems(found, "tf32")
    costs = summary.summary_of(found, *kernels_of(found.program), wanted, CARDS["h100"])
    assert costs["kernels"] > 100 and costs["product_kernels"] > 10
