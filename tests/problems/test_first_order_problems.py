"""The problems of the first-order studies: derivatives, closed forms, global optima found another way, data."""

import dataclasses
import gzip
import struct
import sys
import types

import numpy as np
import pytest
import torch

from second_order import oracle_for
from unibio import solve
from unibio.core.streams import Draw, Streams
from unibio.errors import InputError
from unibio.problems import images, nasty
from unibio.problems.corrupted_labels import CorruptedLabels
from unibio.problems.double_well import DoubleWell
from unibio.problems.followed import FollowedWells
from unibio.problems.known_target import KnownTarget
from unibio.problems.linear_models import LinearCleaning, RepresentationLearning
from unibio.problems.lower_bound import LowerBound, bowl
from unibio.problems.nasty import Nasty
from unibio.problems.noisy_quadratic import NoisyQuadratic
from unibio.problems.penalised_quadratic import PenalisedQuadratic
from unibio.problems.quadratic import Quadratic

SMALL_LABELS = CorruptedLabels(size_lower=30, size_upper=20, size_test=40)
SPECS = {
    "nasty": Nasty(),
    "lower_bound": LowerBound(dimension=3, noise=0.5, cross_noise=0.7),
    "noisy_quadratic": NoisyQuadratic(dimension_x=3, dimension_y=4, noise=0.5, upper_noise=0.7),
    "double_well": DoubleWell(),
    "known_target": KnownTarget(dimension=3, noise=0.5, target_noise=0.7),
    "followed_wells": FollowedWells(dimension=3, condition=4.0, noise=0.5, upper_noise=0.7),
    "representation": RepresentationLearning(features=5, width=4, outputs=2, size_train=3, size_validation=2),
    "linear_cleaning": LinearCleaning(features=5, outputs=2, size_train=4, size_validation=6),
    "corrupted_labels": SMALL_LABELS,
}


def points(problem, rows=3):
    """Rows near the start, off the places where something vanishes."""
    generator = torch.Generator().manual_seed(0)
    sizes = [start.shape[-1] for start in (*problem.start, problem.start[1])]
    return [0.4 * torch.randn(rows, d, generator=generator, dtype=torch.float64) for d in sizes]


@pytest.mark.parametrize("name", SPECS)
def test_own_derivatives_are_the_losses(name):
    """Every own derivative against autograd of the loss, per row, each on its own sample; and in float32."""
    problem = SPECS[name].build()
    plain = dataclasses.replace(problem, derivatives={}, approximate=())
    calls = [name for name in ("grad_upper", "grad_lower", "grad_lower_x") if name not in problem.approximate]
    x, y, v = points(problem)
    for dtype in (torch.float64, torch.float32):
        x, y, v = x.to(dtype), y.to(dtype), v.to(dtype)
        near = {"rtol": 1e-9, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 2e-4, "atol": 2e-5}
        own, auto = (oracle_for(p, (0, 1, 2), dtype, batch_size=4) for p in (problem, plain))
        for _ in range(2):
            for call in calls:
                torch.testing.assert_close(getattr(own, call)(x, y), getattr(auto, call)(x, y), **near)
            torch.testing.assert_close(own.hvp(x, y, v), auto.hvp(x, y, v), **near)
            torch.testing.assert_close(own.jvp(x, y, v), auto.jvp(x, y, v), **near)
        held = () if problem.buffers is None else (problem.buffers.start.expand(3, -1),)
        assert all(value.shape == (3,) for value in problem.metrics(x, y, *held).values())


@pytest.mark.parametrize("name", ["double_well", "representation", "linear_cleaning"])
def test_starts_depend_on_their_own_seed(name):
    spec = SPECS[name]
    many = dataclasses.replace(spec, start_seed=torch.tensor([[7.0], [2.0], [7.0]])).build().start
    for row, seed in enumerate((7, 2, 7)):
        for side, start in enumerate(dataclasses.replace(spec, start_seed=seed).build().start):
            assert torch.equal(many[side][row], start)
    assert not torch.equal(many[1][0], many[1][1])


# The nasty example ---------------------------------------------------------------------------------------------------


def test_penalty_function_of_the_nasty_example():
    """𝓛*_λ and y*_λ against a search over a fine grid of y; g* = −|x|."""
    ys = np.linspace(-1, 1, 20001)
    for penalty in (1.0, 3.0, 20.0):
        for x in (-1.0, -0.37, -0.05, 0.0, 0.02, 0.4, 0.9):
            values = x * x + ys**2 + penalty * (x * ys + abs(x))
            t = torch.tensor([[x]], dtype=torch.float64)
            assert nasty.penalised_value(t, penalty).item() == pytest.approx(values.min(), abs=1e-7)
            assert nasty.penalised_solution(t, penalty).item() == pytest.approx(ys[values.argmin()], abs=1e-4)
    t = torch.tensor([[0.0], [0.3]], dtype=torch.float64)
    assert nasty.value(t).tolist() == pytest.approx([0.0, 1.09])


def test_the_nasty_example_by_its_losses():
    problem = Nasty(start_x=torch.tensor([[0.5], [-0.2]], dtype=torch.float64), start_y=0.1).build()
    assert problem.start[0].tolist() == [[0.5], [-0.2]]
    assert problem.start[1].flatten().tolist() == pytest.approx([0.1, 0.1])
    x, y = torch.tensor([[0.6]]).double(), torch.tensor([[-0.5]]).double()
    assert problem.upper(x, y, None).item() == pytest.approx(0.61)
    assert problem.lower(x, y, None).item() == pytest.approx(-0.3)
    metrics = {name: value.item() for name, value in problem.metrics(x, y).items()}
    assert metrics["lower_gap"] == pytest.approx(0.3)
    assert metrics["distance"] == pytest.approx(np.sqrt(0.61))
    assert problem.project_lower(torch.tensor([[1.5]])).item() == 1.0


# The lower-bound construction, noise by number -----------------------------------------------------------------------


def test_lower_bound_construction():
    """φ = F with its derivative, and ∇𝓛*_λ = ∇F whatever λ."""
    problem = LowerBound(dimension=2).build()
    x = torch.tensor([[0.7, -1.3]], dtype=torch.float64)
    value = 0.49 / 1.49 + 1.69 / 2.69
    assert problem.closed_form.value(x).item() == pytest.approx(value)
    h = 1e-6
    for i in range(2):
        e = torch.zeros(1, 2).double()
        e[0, i] = h
        difference = (bowl(x + e) - bowl(x - e)) / (2 * h)
        assert problem.closed_form.gradient(x)[0, i].item() == pytest.approx(difference.item(), rel=1e-8)
    g_x = problem.derivatives["grad_lower_x"]
    for penalty in (1.0, 50.0):
        direction = penalty * (g_x(x, bowl(x) - 1 / penalty, None) - g_x(x, bowl(x), None))
        torch.testing.assert_close(direction, problem.closed_form.gradient(x))


def test_noise_has_the_sizes_asked_for():
    """Standard deviations from 4,000 samples, within 5 standard errors (5.6 %)."""
    rows = 4000

    def spread(problem, call, x, y, part=None):
        oracle = oracle_for(problem, range(rows))
        value = getattr(oracle, call)(x.expand(rows, -1), y.expand(rows, -1))
        return (value if part is None else value[part]).std(0)

    x, y = torch.tensor([[0.5, -0.2]]).double(), torch.tensor([[2.0]]).double()
    linear, cross = LowerBound(dimension=2, noise=0.3).build(), LowerBound(dimension=2, cross_noise=0.3).build()
    near = {"rel": 0.056}
    assert spread(linear, "grad_lower", x, y).tolist() == pytest.approx([0.3], **near)
    assert spread(linear, "grad_lower_x", x, y).tolist() == pytest.approx([0.3, 0.3], **near)
    assert spread(cross, "grad_lower", x, y).tolist() == pytest.approx([0.3 * 0.3], **near)
    assert spread(cross, "grad_lower_x", x, y).tolist() == pytest.approx([0.6, 0.6], **near)
    noisy = NoisyQuadratic(dimension_x=2, dimension_y=3, noise=0.3, upper_noise=0.7).build()
    x, y = torch.zeros(1, 2).double(), torch.zeros(1, 3).double()
    assert spread(noisy, "grad_lower", x, y).tolist() == pytest.approx([0.3] * 3, **near)
    assert spread(noisy, "grad_lower_x", x, y).tolist() == pytest.approx([0.3] * 2, **near)
    assert spread(noisy, "grad_upper", x, y, 0).tolist() == pytest.approx([0.7] * 2, **near)
    assert spread(noisy, "grad_upper", x, y, 1).tolist() == pytest.approx([0.7] * 3, **near)
    levels = torch.tensor([[0.0], [0.5]]).double()
    mixed = LowerBound(dimension=2, noise=levels).build()
    sample = mixed.sample_lower(Draw(Streams([3, 3]), "lower", 0))
    assert sample[0].tolist() == [0, 0, 0, 0]
    assert sample[1, :3].abs().min() > 0
    assert LowerBound().build().sample_lower is None


def test_noisy_quadratic_without_noise_is_the_quadratic():
    shape = {"dimension_x": 3, "dimension_y": 4, "condition": 5.0, "coupling": 0.8}
    noisy = NoisyQuadratic(**shape).build()
    exact = Quadratic(**shape, size_lower=1, size_upper=1, rank=0).build()
    results = [solve(problem, "soba", steps=20, log_points=2) for problem in (noisy, exact)]
    assert torch.equal(results[0].x, results[1].x)
    assert noisy.sample_lower is None


def test_the_penalty_function_of_a_quadratic():
    """Its value by gradient descent in y, its gradient and Hessian by differences of that value."""
    penalties = torch.tensor([[3.0], [50.0]], dtype=torch.float64)
    spec = PenalisedQuadratic(dimension_x=3, dimension_y=4, condition=4.0, penalty=penalties)
    problem = spec.build()
    x = torch.tensor([[0.3, -0.5, 1.1]], dtype=torch.float64).repeat(2, 1)

    def penalised(x, penalty, steps=90):
        """(value, y*_λ) by gradient descent on f + λ(g − g*)."""
        y = torch.zeros(1, 4, dtype=torch.float64)
        solution = problem.closed_form.solution(x)
        for _ in range(steps):
            f_y = problem.derivatives["grad_upper"](x, y, None)[1]
            y = y - (f_y + penalty * problem.derivatives["grad_lower"](x, y, None)) / (1 + penalty)
        gap = problem.lower(x, y, None) - problem.lower(x, solution, None)
        return (problem.upper(x, y, None) + penalty * gap).item(), y

    metrics = problem.metrics(x, torch.zeros(2, 4, dtype=torch.float64))
    for row, penalty in enumerate((3.0, 50.0)):
        here, h = x[row : row + 1], 1e-4
        value, y = penalised(here, penalty)
        assert metrics["value_error"][row].item() == pytest.approx(abs(problem.closed_form.value(here).item() - value))
        distance = (problem.closed_form.solution(here) - y).norm().item()
        assert metrics["solution_error"][row].item() == pytest.approx(distance)
        f_y = problem.derivatives["grad_upper"](here, problem.closed_form.solution(here), None)[1]
        assert metrics["upper_slope"][row].item() == pytest.approx(f_y.norm().item())
        axes = h * torch.eye(3, dtype=torch.float64)[:, None]
        around = {s: [penalised(here + s * e, penalty)[0] for e in axes] for s in (1, -1)}
        slope = torch.from_numpy((np.array(around[1]) - np.array(around[-1])) / (2 * h))
        error = (problem.closed_form.gradient(here)[0] - slope).norm().item()
        assert metrics["gradient_error"][row].item() == pytest.approx(error, rel=1e-5)
        wide = 100 * axes

        def corner(a, b, at=here, weight=penalty):
            return penalised(at + a + b, weight)[0]

        mixed = [[corner(a, b) - corner(a, -b) - corner(-a, b) + corner(-a, -b) for b in wide] for a in wide]
        norm = np.linalg.norm(np.array(mixed) / (4e4 * h**2), 2)
        assert metrics["hessian_norm"][row].item() == pytest.approx(norm, rel=1e-5)


# Global optima, found another way ------------------------------------------------------------------------------------


def test_optimum_of_representation_learning():
    """A minimum-norm solution of both data sets' normal equations attains the bound and fits the training data.

    Factored as W₁W₂ by its singular vectors, it is feasible for the losses themselves.
    """
    spec = SPECS["representation"]
    data, problem = spec.data(), spec.build()
    means = data["Y_val"].reshape(2, 2, 2).mean(1)  # (points, repeats, outputs): the best fit is the mean of repeats
    both = np.vstack([data["X_trn"], data["X_val"][::2]])
    M = np.linalg.pinv(both) @ np.vstack([data["Y_trn"], means])
    u, s, vt = np.linalg.svd(M, full_matrices=False)
    rng = np.random.default_rng(0)
    W1 = np.hstack([u * s, 0.1 * rng.standard_normal((5, 2))])
    W2 = np.vstack([vt, np.zeros((2, 2))])
    x, y = (torch.from_numpy(W.reshape(1, -1)) for W in (W1, W2))
    assert problem.upper(x, y, None).item() == pytest.approx(spec.optimum(), rel=1e-10)
    assert spec.optimum() == pytest.approx(0.5 * ((data["Y_val"].reshape(2, 2, 2) - means[:, None]) ** 2).sum())
    metrics = problem.metrics(x, y)
    assert metrics["upper_gap"].item() == pytest.approx(0, abs=1e-12)
    assert metrics["lower_gap"].item() == pytest.approx(0, abs=1e-12)
    elsewhere = problem.metrics(*points(problem)[:2])
    assert (elsewhere["upper_gap"] > 0).all()
    assert (elsewhere["lower_gap"] > 0).all()


def test_lower_gap_of_representation_learning_with_narrow_layers():
    """g*(W₁) by NumPy's least squares where W₁ cannot fit the data; a rank-deficient W₁ as well."""
    spec = dataclasses.replace(SPECS["representation"], width=2)
    data, problem = spec.data(), spec.build()
    x, y = points(problem, 1)[:2]
    for narrow in (x, x.view(1, 5, 2)[:, :, :1].repeat(1, 1, 2).reshape(1, -1)):
        features = data["X_trn"] @ narrow.view(5, 2).numpy()
        residual = features @ np.linalg.pinv(features) @ data["Y_trn"] - data["Y_trn"]
        wanted = problem.lower(narrow, y, None).item() - 0.5 * (residual**2).sum()
        assert problem.metrics(narrow, y)["lower_gap"].item() == pytest.approx(wanted, rel=1e-9)


def test_divergence_in_representation_learning_is_recorded():
    """Matrices that are not finite must end one run, not the batch."""
    result = solve(SPECS["representation"], "pbgd", steps=60, log_points=2, upper_step=[1e-3, 1e3], lower_step=0.1)
    assert result.status == ["completed", "diverged"]


def test_optimum_of_linear_cleaning():
    """The constrained least-squares problem by its optimality conditions, one linear system, at any weights."""
    spec = SPECS["linear_cleaning"]
    data, problem = spec.data(), spec.build()
    X, A = data["X_val"], data["X_trn"]
    system = np.block([[X.T @ X, A.T], [A, np.zeros((4, 4))]])
    W = np.linalg.solve(system, np.vstack([X.T @ data["Y_val"], data["Y_trn"]]))[:5]
    assert spec.optimum() == pytest.approx(0.5 * ((X @ W - data["Y_val"]) ** 2).sum(), rel=1e-9)
    free = np.linalg.lstsq(X, data["Y_val"], rcond=None)[0]
    assert spec.optimum() > 1.1 * 0.5 * ((X @ free - data["Y_val"]) ** 2).sum()  # the constraint costs something
    x, y = points(problem)[0], torch.from_numpy(W.reshape(1, -1)).repeat(3, 1)
    metrics = problem.metrics(x, y)
    np.testing.assert_allclose(metrics["upper_gap"], 0, atol=1e-12)
    np.testing.assert_allclose(metrics["lower_gap"], 0, atol=1e-12)
    assert problem.project_upper(10 * x).abs().max() == spec.bound


def test_known_optima_need_room():
    with pytest.raises(InputError, match="size_train \\+ size_validation = 9"):
        RepresentationLearning(features=8, size_train=5, size_validation=4).build()
    with pytest.raises(InputError, match="size_train = 9"):
        LinearCleaning(features=8, size_train=9).build()


def test_double_well():
    """The better minimum against a grid; the other one is a local minimum too; and solving from it stays there."""
    spec = DoubleWell(tilt=0.5)
    grid = np.linspace(-2, 2, 400001)
    values = (grid**2 - 1) ** 2 + 0.5 * grid
    assert spec.minimiser() == pytest.approx(grid[values.argmin()], abs=1e-5)
    problem = spec.build()
    spurious = max(np.roots([4, 0, -4, 0.5]).real)
    x = torch.tensor([[spurious], [spec.minimiser()]]).double()
    metrics = problem.metrics(x, x)
    np.testing.assert_allclose(metrics["hypergradient_norm"], 0, atol=1e-12)
    assert metrics["value_gap"][1].item() == pytest.approx(0, abs=1e-12)
    assert metrics["value_gap"][0].item() > 0.9
    result = solve(problem, "pbgd", [1.2], [1.2], steps=400, log_points=2, upper_step=0.3, lower_step=0.5)
    assert result.x.item() == pytest.approx(spurious, abs=0.05)


# Corrupted labels ----------------------------------------------------------------------------------------------------


def test_corrupted_labels():
    """The share asked for is wrong, higher rates keep what is wrong, and the rest of the data does not change."""
    data = {
        rate: dataclasses.replace(SMALL_LABELS, size_lower=200, corruption_rate=rate).data() for rate in (0.0, 0.1, 0.3)
    }
    truth = data[0.0].train[1]
    for rate, part in data.items():
        wrong = part.train[1] != truth
        assert wrong.sum() == round(rate * 200)
        assert np.array_equal(wrong, part.corrupted)
        assert np.array_equal(part.train[0], data[0.0].train[0])
        assert np.array_equal(part.test[1], data[0.0].test[1])
    both = data[0.1].corrupted
    assert (data[0.3].corrupted | ~both).all()
    assert np.array_equal(data[0.3].train[1][both], data[0.1].train[1][both])
    assert len(set(data[0.3].train[1][data[0.3].corrupted] - truth[data[0.3].corrupted])) > 5  # many other classes
    assert (data[0.3].train[0][:, :-1] ** 2).sum(1).mean() == pytest.approx(1)
    rows = np.vstack([part[0] for part in (data[0.3].train, data[0.3].validation, data[0.3].test)])
    assert len(np.unique(rows, axis=0)) > 0.99 * len(rows)  # the parts are disjoint, up to equal images


def test_losses_and_metrics_of_corrupted_labels():
    """Against NumPy, image by image."""
    spec = SMALL_LABELS
    data, problem = spec.data(), spec.build()
    x, w = points(problem, 1)[:2]
    W = w.view(65, 10).numpy()

    def losses(part):
        logits = part[0] @ W
        return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), part[1]]

    sigma = 1 / (1 + np.exp(-x[0].numpy()))
    lower = (sigma * losses(data.train)).mean() + 1e-3 * (W**2).sum()
    assert problem.lower(x, w, None).item() == pytest.approx(lower, rel=1e-12)
    assert problem.upper(x, w, None).item() == pytest.approx(losses(data.validation).mean(), rel=1e-12)
    batch = torch.tensor([[3, 3, 11]])
    chosen = (sigma * losses(data.train))[[3, 3, 11]].mean() + 1e-3 * (W**2).sum()
    assert problem.lower(x, w, batch).item() == pytest.approx(chosen, rel=1e-12)
    metrics = problem.metrics(x, w)
    right = (data.test[0] @ W).argmax(1) == data.test[1]
    assert metrics["test_accuracy"].item() == right.mean()
    clean, wrong = x[0].numpy()[~data.corrupted], x[0].numpy()[data.corrupted]
    assert metrics["cleaning_auc"].item() == pytest.approx((clean[:, None] > wrong).mean())


def test_too_many_images_are_refused():
    with pytest.raises(InputError, match="1797"):
        CorruptedLabels(size_lower=1500, size_upper=200, size_test=200).build()


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_files(tmp_path):
    rng = np.random.default_rng(0)
    for part, n, ending in (("train", 40, ".gz"), ("t10k", 20, "")):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{ending}", rng.integers(0, 256, (n, 4, 4)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{ending}", rng.integers(0, 10, n))
    images.load.cache_clear()
    return tmp_path


def test_images_from_a_directory(idx_files):
    """gzipped and plain files; test images are taken from the files for testing."""
    spec = CorruptedLabels(source="mnist", directory=str(idx_files), size_lower=25, size_upper=15, size_test=20)
    data, found = spec.data(), images.load("mnist", str(idx_files))
    assert found.pixels.shape == (60, 16)
    assert found.test == 20
    assert sorted(data.test[1]) == sorted(found.labels[40:])
    assert spec.build().start[1].shape == (170,)
    assert len(spec.fingerprint()) == 64
    with pytest.raises(InputError, match="40 images and 20 for testing"):
        dataclasses.replace(spec, size_test=21).data()


def test_damaged_or_missing_files_are_named(idx_files):
    (idx_files / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0")
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte is damaged"):
        images.load("fashion", str(idx_files))
    (idx_files / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"no file train-images-idx3-ubyte or train-images-idx3-ubyte\.gz"):
        images.load("fashion", str(idx_files))
    with pytest.raises(InputError, match="dataset-fashion-mnist"):
        images._from_directory(idx_files / "nowhere", "fashion")
    with pytest.raises(InputError, match="directory"):
        images.load("digits", str(idx_files))


def test_mnist_from_the_hub(monkeypatch):
    """The client's answer in its own form; and a hub that cannot be reached is said at once, with the ways out."""
    rng = np.random.default_rng(0)

    class Part:
        def __init__(self, n):
            self.content = {"image": rng.integers(0, 256, (n, 28, 28)), "label": rng.integers(0, 10, n)}

        def with_format(self, kind):
            assert kind == "numpy"
            return self

        def __getitem__(self, rows):
            return self.content

    asked = []

    def load_dataset(name):
        asked.append(name)
        return {"train": Part(50), "test": Part(10)}

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    images.load.cache_clear()
    found = images.load("mnist")
    assert asked == ["ylecun/mnist"]
    assert found.pixels.shape == (60, 784)
    assert found.test == 10
    images.load.cache_clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"cannot be reached.*source = digits"):
        images.load("mnist")


@pytest.mark.skipif(not images.FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian():
    found = images.load("fashion")
    assert found.pixels.shape == (70000, 784)
    assert np.array_equal(np.bincount(found.labels), [7000] * 10)
    spec = CorruptedLabels(source="fashion", size_lower=100, size_upper=50, size_test=50)
    assert spec.build().start[1].shape == (7850,)
