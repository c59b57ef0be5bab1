"""The counter against counts done by hand; a wrong counter is off by far more than 0.1 %."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from recombine.benchmark.inference.flops import ELSEWHERE, FlopCounter, count_flops
from recombine.renderer.core.errors import ResourceError


def attention_layer_flops(batch, tokens, width, hidden):
    """Return the operations of an encoder layer: four projections, two products, MLP."""
    projections = 4 * 2 * tokens * width * width
    attention = 2 * 2 * tokens * tokens * width
    mlp = 2 * 2 * tokens * width * hidden
    return batch * (projections + attention + mlp)


def encoder(width=32, heads=4, hidden=64, layers=2):
    layer = nn.TransformerEncoderLayer(width, heads, hidden, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()


def close(report, expected):
    assert report.flops == pytest.approx(expected, rel=1e-3)
    assert expected > 0


def test_linear():
    layer = nn.Linear(10, 7)
    close(count_flops(lambda: layer(torch.zeros(5, 10))), 2 * 5 * 10 * 7)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_grouped_convolution(mode):
    layer = nn.Conv2d(8, 16, 3, padding=1, stride=2, groups=4)
    with mode():
        report = count_flops(lambda: layer(torch.zeros(2, 8, 12, 12)))
    close(report, 2 * 2 * 16 * 6 * 6 * 2 * 9)


def test_transposed_convolution():
    layer = nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1)
    close(count_flops(lambda: layer(torch.zeros(2, 6, 5, 5))), 2 * 2 * 25 * 6 * 4 * 16)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_eval_mode_transformer_encoder_is_not_zero(mode):
    model = encoder()
    with mode():
        report = count_flops(lambda: model(torch.zeros(3, 17, 32)))
    close(report, 2 * attention_layer_flops(3, 17, 32, 64))


def test_fast_path_is_switched_back_on():
    before = torch.backends.mha.get_fastpath_enabled()
    count_flops(lambda: None)
    assert torch.backends.mha.get_fastpath_enabled() == before
    with pytest.raises(ZeroDivisionError), FlopCounter():
        raise ZeroDivisionError
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_attention_forward_and_gradient_on_cpu():
    q, k, v = (torch.randn(2, 4, 9, 8, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 4 * 9 * 9 * 8
    attend = nn.functional.scaled_dot_product_attention
    close(count_flops(lambda: attend(q, k, v)), 2 * product)
    close(count_flops(lambda: attend(q, k, v).sum().backward()), (2 + 5) * product)


def test_backward_costs_twice_the_forward():
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    x = torch.randn(4, 10, requires_grad=True)
    forward = 2 * 4 * (10 * 20 + 20 * 5)
    close(count_flops(lambda: model(x).sum().backward()), 3 * forward)


def test_convolution_backward_with_groups():
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    forward = 2 * 2 * 8 * 36 * 9
    close(count_flops(lambda: layer(x).sum().backward()), 3 * forward)


def decoder():
    model = nn.Sequential(
        nn.Linear(6, 4 * 16), nn.ReLU(), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 3, 2, 2)
    )
    return model.requires_grad_(False)


def decoder_flops(batch):
    return batch * 2 * (6 * 64 + 16 * 4 * 3 * 4)


def search(model, z, target, steps, grad):
    for _ in range(steps):
        loss = (model(z) - target).square().sum()
        z = (z - 0.1 * grad(loss, z)).detach().requires_grad_(True)
    return z


def by_autograd(loss, z):
    return torch.autograd.grad(loss, z)[0]


def by_backward(loss, z):
    loss.backward()
    return z.grad


@pytest.mark.parametrize("grad", [by_autograd, by_backward])
def test_search_loop_costs_two_decoder_passes_per_step(grad):
    model, z = decoder(), torch.randn(5, 6, requires_grad=True)
    report = count_flops(lambda: search(model, z, torch.zeros(5, 3, 8, 8), 3, grad))
    close(report, 3 * 2 * decoder_flops(5))


def test_functional_gradient():
    model, z = decoder(), torch.randn(5, 6)
    gradient = torch.func.grad(lambda code: model(code).sum())
    close(count_flops(lambda: gradient(z)), 2 * decoder_flops(5))


def test_matrix_vector_and_dot():
    a, x = torch.randn(7, 5), torch.randn(5)
    close(count_flops(lambda: a @ x), 2 * 35)
    close(count_flops(lambda: x @ x), 2 * 5)


GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


def recurrent_flops(kind, inputs, hidden, layers, vectors):
    """Return the operations of a bidirectional net: both weight matrices meet every vector."""
    widths = [inputs, *[2 * hidden] * (layers - 1)]
    return sum(2 * vectors * 2 * GATES[kind] * hidden * (width + hidden) for width in widths)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("kind", list(GATES))
def test_recurrent_layers(kind, mode):
    model = kind(6, 8, num_layers=2, bidirectional=True, batch_first=True)
    with mode():
        report = count_flops(lambda: model(torch.zeros(3, 5, 6)))
    close(report, recurrent_flops(kind, 6, 8, 2, 3 * 5))
    assert not report.uncounted


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_recurrent_backward_costs_twice_the_forward(kind):
    model, x = kind(6, 8, batch_first=True), torch.randn(3, 5, 6, requires_grad=True)
    start = torch.zeros(1, 3, 8, requires_grad=True)  # else the first step's gradient is spared
    state = (start, start) if kind is nn.LSTM else start
    report = count_flops(lambda: model(x, state)[0].sum().backward())
    forward = 2 * 15 * GATES[kind] * 8 * (6 + 8)
    close(report, 3 * forward)


def test_recurrent_cell_as_slot_attention_uses_it():
    cell = nn.GRUCell(6, 8)
    with torch.inference_mode():
        report = count_flops(lambda: cell(torch.zeros(4, 6), torch.zeros(4, 8)))
    close(report, 2 * 4 * 3 * 8 * (6 + 8))
    assert not report.uncounted


@pytest.mark.parametrize("training", [True, False])
def test_multi_head_attention(training):
    model, x = nn.MultiheadAttention(16, 4, batch_first=True).train(training), torch.zeros(2, 9, 16)
    with torch.inference_mode():
        report = count_flops(lambda: model(x, x, x))
    close(report, 2 * (4 * 2 * 9 * 16 * 16 + 2 * 2 * 9 * 9 * 16))


def train(model, steps, images=8):
    """Train as a learner does, its own optimiser and loop."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = model(torch.randn(images, 10)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_training_is_counted_to_the_last_step():
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    with FlopCounter() as counter:
        train(model, 7)
    weights = 10 * 20 + 20 * 5
    assert not counter.report.uncounted
    close(counter.report, 7 * 8 * 2 * (3 * weights - 10 * 20))  # no gradient into the input


def test_a_budget_stops_training_in_the_act():
    model = nn.Linear(10, 5)
    step = 2 * 8 * 2 * 50
    with FlopCounter(limit=3.5 * step) as counter, pytest.raises(ResourceError, match="max_gflop"):
        train(model, 10)
    assert 3 * step < counter.report.flops <= 4 * step
    with FlopCounter(limit=3 * step):
        train(model, 3)
    assert torch.backends.mha.get_fastpath_enabled()


def test_work_without_a_formula_is_listed():
    with torch.inference_mode():
        report = count_flops(
            lambda: (
                torch.fft.rfft2(torch.zeros(8, 8)),
                torch.linalg.solve(torch.eye(3), torch.ones(3)),
            )
        )
    assert set(report.uncounted) == {"_fft_r2c", "_linalg_solve_ex", "_linalg_check_errors"}
    assert report.flops == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_operators_that_torchscript_hides_make_the_count_incomplete():
    model, x = (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)),
        torch.zeros(1, 3, 9, 9),
    )
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(model.eval(), x))
        fast = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x)))
        plain, frozen, hidden = (
            count_flops(lambda run=run: run(x)) for run in (model, traced, fast)
        )
    assert plain.complete
    assert frozen.complete
    assert frozen.flops == plain.flops > 0
    assert hidden.flops == 0
    assert not hidden.complete


def burn(seconds=0.03):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        torch.ones(8, 8) @ torch.ones(8, 8)


def test_work_of_another_thread_is_listed():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # a thread that was there before
        report = count_flops(lambda: pool.submit(burn).result())
    assert report.uncounted == {ELSEWHERE: 1}
    assert not report.complete


def test_an_idle_thread_and_the_threads_of_the_library_are_no_work():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            reports = [count_flops(burn) for _ in range(3)]
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert any(report.complete for report in reports)


def test_work_that_the_counter_sees_in_another_thread_is_counted():
    """As that of gradients on a GPU, whose threads take the mode with them."""
    counter = FlopCounter()

    def work():
        with counter._mode:
            burn()

    with counter, ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    assert counter.report.flops > 0
    assert counter.seconds_seen_elsewhere > 0.01


def test_ordinary_layers_leave_nothing_uncounted():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.LayerNorm(8), nn.Dropout(0.1), nn.Linear(8, 2), nn.Softmax(-1),
    )  # fmt: skip
    report = count_flops(lambda: model(torch.randn(4, 3, 16, 16)).log().mean().backward())
    assert not report.uncounted
    assert set(report.by_op) == {"convolution", "addmm", "mm", "convolution_backward"}


@pytest.mark.parametrize(("mode", "taps"), [("bilinear", 2), ("bicubic", 4)])
@pytest.mark.parametrize(("edge", "into"), [(8, 23), (25, 8)])
def test_antialiased_resampling_counts_the_weights_that_it_applies(mode, taps, edge, into):
    """Its matrix, found by resampling unit vectors, has as many weights in an inner row."""
    images = torch.zeros(2, 3, edge, edge)
    report = count_flops(
        lambda: nn.functional.interpolate(images, (into, into), mode=mode, antialias=True)
    )
    each = taps * max(1, edge / into)
    assert not report.uncounted
    assert report.flops == round(2 * 2 * 3 * each * (edge * into + into * into))
    units = torch.eye(edge)[:, None, :, None].expand(-1, 1, -1, edge)
    matrix = nn.functional.interpolate(units, (into, edge), mode=mode, antialias=True)[:, 0, :, 0]
    inner = (matrix.abs() > 1e-6).sum(0)[into // 3 : -into // 3]
    assert inner.max() <= each + 1
    assert inner.max() > each - 2
