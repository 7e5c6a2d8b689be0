"""Whatever is typed as overrides: jobs, or one line that names the key and says what to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unibio.errors import InputError
from unibio.pipeline.composing import Compose, composer, expand, is_multirun
from unibio.pipeline.overrides import typed
from wording import check_message


@pytest.fixture(scope="module")
def compose_one() -> Iterator[Compose]:
    with composer() as function:
        yield function


def outcome(words: list[str], compose_one: Compose) -> str | None:
    """What ``unibio run`` says to these words, None where it has jobs. Anything else is an error of the test."""
    multirun = "-m" in words
    words = [word for word in words if word != "-m"]
    try:
        if not multirun:
            is_multirun(words, compose_one)
        assert expand(words, compose_one)
    except InputError as error:
        said = str(error)
        check_message(said)
        return said
    return None


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        # Axes are taken as they are.
        ("+grid.seed=[0.2,0.9,1.5]", "grid.seed must be an integer"),
        ("+grid.seed=[1.0]", "grid.seed must be an integer"),
        ("+grid.seed=[true]", "grid.seed must be an integer"),
        ("+grid.seed=['1']", "grid.seed must be an integer"),
        ("+grid.seed=[9223372036854775808]", "grid.seed must be an integer in [−2⁶³, 2⁶³)"),
        ("+grid.seed={linear:[0,4,5]}", "give a list of integers, or {count: N}"),
        ("+grid.seed={count:3,start:10}", "there is no 'start' beside count; the first seed is seed=FIRST"),
        ("+grid.seed={count:true}", "grid.seed: the count must be an integer"),
        ("+grid.seed={count:2.5}", "grid.seed: the count must be an integer"),
        ("+grid.seed={count:1000000000000}", "the count must be an integer from 1 to 1,000,000"),
        ("seed=9223372036854775807 +grid.seed={count:2}", "grid.seed must be an integer in [−2⁶³, 2⁶³)"),
        ("+grid.seed=[0,0,1]", "grid.seed has 0 twice"),
        ("+grid.seed=0", "for one value write [0]"),
        ("+grid.problem.noise=[1,0.5,1.0]", "grid.problem.noise has 1.0 twice"),
        ("+grid.problem.noise=[true]", "grid.problem.noise must be a number"),
        ("+grid.problem.noise=[1e400]", "grid.problem.noise: inf is not a finite number"),
        ("+grid.problem.noise=[9007199254740993]", "9007199254740993 is not a finite number of 64 bits"),
        ("+grid.problem.noise={log:[1,10,2.5]}", "grid.problem.noise: the count must be an integer"),
        ("+grid.problem.noise={log:[1,10,true]}", "grid.problem.noise: the count must be an integer"),
        ("+grid.problem.noise={log:[a,b,3]}", "grid.problem.noise must be a number"),
        ("+grid.problem.noise={log:[1,1,3]}", "grid.problem.noise has 1.0 twice"),
        ("+grid.problem.noise={log:[0,1,3]}", "log needs two positive numbers"),
        ("+grid.problem=[1,2]", "write grid.problem.PARAMETER=[A,B]"),
        ("+grid.seed={count:2000} +grid.problem.noise={linear:[0,1,2000]}", "the grid has 4,000,000 runs"),
        ("+grid.seed=[range(0,3)]", "a function within a list is not accepted; write its values"),
        # So is what a sweep varies.
        ("-m seed=1,range(3,5)", "a function within a list is not accepted; write its values"),
        ("-m seed=0,0,1", "seed=0,0,1 has 0 twice"),
        ("-m problem.exponent=2,4,2.0", "problem.exponent=2,4,2.0 has 2.0 twice"),
        ("-m threads=1,2", "threads=1 and threads=2 are the same run"),
        ("-m seed=range(0,1000000000)", "more than 100,000 values"),
        ("-m seed=shuffle(range(0,1000000000))", "more than 100,000 values"),
        ("-m seed=range(0,1000) steps=range(1,1001)", "the values of seed, steps make more than 100,000 jobs"),
        ("-m seed=range(0,1,0)", "seed=range(0,1,0) is no range"),
        ("-m seed=range(1,0)", "seed=range(1,0) has no values"),
        ("-m algorithm.upper_step=interval(0,1)", "list them: algorithm.upper_step=A,B,C"),
        ("-m problem.exponent=glob(*)", "list them: problem.exponent=A,B,C"),
        ("-m algorithm=glob(*)", "list them: algorithm=A,B,C"),
        ("-m experiment=fig1,fig5", "give one command for each"),
        ("-m grid.seed=0,1", "write +grid.seed=[0,1], or seed=0,1 for a job of every value"),
        ("-m +grid.problem.noise=0,1", "write +grid.problem.noise=[0,1]"),
        # What a switch is set to is not counted, a number that is computed not given, and a key is what it looks like.
        ("retry_failed=2", "retry_failed=2 is not accepted: it must be true or false"),
        ("-m progress=0,3", "it must be true or false"),
        ("data_hash=abc", "data_hash follows from the data themselves; leave it out"),
        ("st\u0435ps=3", "which has letters that look like others"),
        ("launcher=gpu", "unknown launcher 'gpu'. Accepted: local"),
        # No key counts twice.
        ("steps=3 steps=4", "steps is given twice, by steps=3 and steps=4"),
        ("steps=3 ++steps=4", "steps is given twice"),
        ("algorithm=unibio algorithm=soba", "algorithm is given twice"),
        ("+grid.algorithm={upper_step:[1]} +grid.algorithm={lower_step:[1]}", "grid.algorithm is given twice"),
        ("-m +grid.algorithm={a:[1]},{a:[2]} +grid.algorithm={b:[1]},{b:[2]}", "grid.algorithm is given twice"),
        ("+grid.seed=[1] +grid={seed:[2]}", "grid.seed is given twice"),
        ("+grid={seed:{count:3}} +grid.seed=[2]", "is given twice, by"),
        # Nothing that every run needs can go.
        ("~grid", "leave out its keys one by one, for instance ~grid.seed"),
        ("~targets", "leave out its keys one by one"),
        ("~steps", "give it another value: steps=VALUE"),
        ("~data", "give it another value: data=VALUE"),
        ("~tracker", "give it another value: tracker=VALUE"),
        ("~algorithm.upper_step", "give it another value: algorithm.upper_step=VALUE"),
        ("~grid.seed", "there is no grid.seed to leave out"),
        ("experiment=fig1 grid={}", "grid={} changes nothing; to leave keys out: ~grid.KEY"),
        ("experiment=fig1 grid.problem.noise={log:[1,2,3]}", "~grid.problem.noise +grid.problem.noise={log:[1,2,3]}"),
        # Syntax.
        ("seed=0,1,", "seed=0,1,: a comma with no value beside it; remove it"),
        ("+grid.seed=[0,,1]", "a comma with no value beside it"),
        ("seed", "seed has no value: write seed=VALUE"),
        ("=3", "names no key: write KEY=VALUE"),
        ("steps=[1", "steps=[1: ] is missing"),
        ("steps=3)", "steps=3): ) closes nothing"),
        ("steps='3", "a quotation mark is not closed"),
        ("steps==3", "the value of steps cannot be read"),
        ("algorithm.upper_step=${", "} is missing"),
        # Names.
        ("algorithm=UniBiO", "Did you mean 'unibio'?"),
        ("algorithm=[unibio]", "algorithm=[unibio] names no algorithm; choose one of"),
        ("algorithm=schema_unibio", "unknown algorithm 'schema_unibio'"),
        ("algorithm=null", "choose one of"),
        ("algorithm@problem=unibio", "write algorithm=NAME"),
        ("+algorithm=soba", "write algorithm=NAME"),
        ("experiment=nli experiment/nli=unibio", "write +experiment/nli=NAME"),
        ("device=gpu", "unknown device 'gpu'. Did you mean 'cuda'?"),
        ("dtype=double", "Did you mean 'float64'?"),
        ("experiment=fig4", "The paper's Figure 4 is experiment=nli"),
        ("experiment=figure_5", "The paper's Figure 5 is experiment=fig5"),
        ("grid.seed=[0,1]", "there is no grid.seed yet; a plus adds it: +grid.seed=[0,1]"),
        ("grid.sed=[0,1]", "Did you mean 'seed'?"),
        ("+steps=3", "steps is there already; write steps=3"),
        ("algorithm.upper_step.x=1", "algorithm.upper_step must be a number"),
        ("data.train=3", "add data=generated, data=snli or data=directory"),
        ("hydra/launcher=joblib", "Hydra's own settings have no effect here"),
        ("hydra.run.dir=x", "Hydra's own settings have no effect here"),
        # Types and values.
        ("algorithm.upper_step=[1,2]", "it must be a number; several values are algorithm.upper_step=A,B with -m"),
        ("algorithm.upper_step=true", "it must be a number"),
        ("steps=3.0", "it must be an integer"),
        ("progress=maybe", "it must be true or false"),
        ("grid=[1]", "it must be a mapping {key: value}"),
        ("algorithm.upper_step=${foo}", "algorithm.upper_step = ${foo} cannot be computed"),
        ("scale.steps=abc", "steps = ${times:500,${scale.steps}} cannot be computed"),
        ("seed=???", "seed is missing: give seed=VALUE"),
        ("seed=9223372036854775808", "seed must be an integer in [−2⁶³, 2⁶³)"),
        ("steps=99999999999999999999", "steps must be a positive integer"),
        ("log_points=99999999999", "log_points must be an integer ≥ 2 and ≤ 1,000,000"),
        ("algorithm.period=99999999999999999999", "algorithm.period = 99999999999999999999 is not accepted"),
        ("checkpoint_seconds=nan", "checkpoint_seconds must be a number of seconds"),
        ("records=", "records must be a directory"),
        ("tracker.max_curves=abc", "tracker.max_curves must be a positive integer"),
        ("tracker.project=null", "tracker.project must be a name"),
        ("+tracker.foo=1", "unknown key in tracker"),
        ("+targets.hypergradient_norm=[true]", "targets.hypergradient_norm must be a number"),
        ("+targets.hypergradient_norm=[0.1,0.1]", "targets.hypergradient_norm has 0.1 twice"),
    ],
)
def test_what_to_write_instead(words: str, says: str, compose_one: Compose) -> None:
    said = outcome(words.split(), compose_one)
    assert said is not None
    assert says in said


def test_text_with_spaces_and_lines_stays_on_one_line(compose_one: Compose) -> None:
    for words in (["a b=1"], ["steps=1\n2"], [""], ["steps = 3"], ["records='a\nb'", "steps=x\ty"], ["x" * 5000]):
        assert outcome(words, compose_one) is not None
    assert typed("a\nb") == "a\\nb"


def test_an_axis_of_an_experiment_can_be_taken_out_or_replaced(compose_one: Compose) -> None:
    asked = ["experiment=fig1", "scale=smoke", "~grid.problem.noise", "~grid.problem.upper_noise"]
    jobs = expand([*asked, "problem.noise=1"], compose_one)
    assert [list(job.axes) for job in jobs] == [["seed"]] * 4
    jobs = expand([*asked, "+grid.problem.noise={log: [1, 100, 3]}"], compose_one)
    assert jobs[0].axes["problem.noise"] == [1, 10, 100]


def test_parts_of_one_section_are_no_repetition(compose_one: Compose) -> None:
    words = ["algorithm=soba", "algorithm.upper_step=0.1", "+grid.algorithm.lower_step=[1]", "+grid={seed:[3]}"]
    (job,) = expand([*words, "+grid.problem.noise=[0,1]"], compose_one)
    assert list(job.axes) == ["algorithm.lower_step", "problem.noise", "seed"]


# Anything at all ------------------------------------------------------------------------------------------------------
KEYS = st.sampled_from([
    "steps", "seed", "budget", "epochs", "dtype", "device", "records", "progress", "threads", "repeats", "log_points",
    "checkpoint_seconds", "data_hash", "grid", "grid.seed", "grid.seed.count", "grid.problem", "grid.problem.noise",
    "grid.algorithm.upper_step", "grid.algorithm.period", "targets", "targets.hypergradient_norm", "problem",
    "problem.name", "problem.exponent", "problem.noise", "problem.noise_reading", "algorithm", "algorithm.name",
    "algorithm.upper_step", "algorithm.period", "algorithm.average", "data", "data.train", "scale", "scale.steps",
    "tracker", "tracker.mode", "tracker.max_curves", "launcher", "launcher.workers", "paper", "paper.upper_step",
    "reproduce_at", "reproduce_at.paper", "experiment", "experiment/e1", "hydra", "hydra.mode", "hydra/launcher",
    "Steps", "name", "grid[seed]", "a.b.c", "x"
])  # fmt: skip
NAMES = [
    "null", "true", "False", "nan", "-inf", "???", "''", "cuda", "gpu", "float32", "smoke", "local", "none", "unibio",
    "UniBiO", "soba", "example3", "fig1", "runtime", "first", "variance", "${seed}", "${x.y}", "${oc.env:NOT_THERE}",
    "${at:1}", "${times:2,3}", "1e400", "0x10", "1_000", "é", "𝔸", "*", "\\"
]  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(NAMES), st.integers(-(10**30), 10**30).map(str), st.integers(-3, 12).map(str), st.floats().map(str)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
        st.lists(inner, min_size=1, max_size=3).map(",".join),
        st.tuples(st.sampled_from(["count", "log", "linear", "seed", "a", "noise"]), inner).map(
            lambda pair: f"{{{pair[0]}:{pair[1]}}}"
        ),
        st.tuples(st.sampled_from(["range", "choice", "glob", "interval", "shuffle", "sort", "int", "float", "str"]),
                  st.lists(inner, max_size=3)).map(lambda call: f"{call[0]}({','.join(call[1])})"),
    ),
    max_leaves=5,
)  # fmt: skip
WORDS = st.one_of(
    st.tuples(st.sampled_from(["", "", "", "+", "++", "~"]), KEYS, st.just("="), VALUES).map("".join),
    st.tuples(KEYS, st.text(alphabet="=+~@.,:/[]{}()'\"$\\ 01ab\n", max_size=8)).map("".join),
    st.text(max_size=12).filter(lambda text: not text.startswith("-")),
)


@pytest.mark.slow
def test_whatever_is_typed_makes_jobs_or_one_line(
    compose_one: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @given(st.lists(WORDS, min_size=1, max_size=3), st.booleans())
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def check(words: list[str], multirun: bool) -> None:
        outcome([*words, *(["-m"] if multirun else [])], compose_one)

    check()
    assert list(tmp_path.iterdir()) == [], "checking writes nothing"
