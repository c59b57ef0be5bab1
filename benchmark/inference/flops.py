"""Counting floating-point operations, also where the usual counters read zero.

A multiply-add is 2 operations. Only matrix products, convolutions, attention and smooth resampling
are counted; element-wise work is not, as is usual. Operators that are neither counted nor known
to be cheap (FFT, linear solvers, custom kernels) are listed by name, and work done
outside the library (NumPy) is invisible, so read the count next to the seconds.

The counter sees the thread that it runs in. Work of other threads and processes, and operators of
which TorchScript leaves only the entrance visible, are listed, and the count is then known to be
incomplete (`FlopReport.complete`).

Three traps are closed. An eval-mode Transformer encoder takes a fused "fast path" without a
formula: the path is switched off while counting. Composite operators under ``inference_mode``
hide their parts: they are decomposed. The CPU attention kernel lacks a formula: it is added.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from recombine.benchmark.inference.clocks import other_seconds, wait_for_idle
from recombine.renderer.core.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

aten = torch.ops.aten

CHEAP = frozenset(
    """
    _adaptive_avg_pool2d _adaptive_avg_pool2d_backward _assert_async _assert_tensor_metadata
    _batch_norm_impl_index _local_scalar_dense _log_softmax _log_softmax_backward_data
    _native_batch_norm_legit _native_batch_norm_legit_no_training _record_function_enter_new
    _record_function_exit _reshape_copy _softmax
    _softmax_backward_data _thnn_fused_gru_cell _thnn_fused_lstm_cell _to_copy
    _unsafe_index _unsafe_index_put _unsafe_view
    _weight_norm_interface addcdiv addcdiv_ addcmul_ alias amax amin any arange argmax argmin
    argsort avg_pool2d avg_pool2d_backward bernoulli bernoulli_ bincount bucketize cat
    channel_shuffle col2im constant_pad_nd copy_ cudnn_batch_norm cudnn_batch_norm_backward
    cumsum detach diag_embed embedding embedding_dense_backward empty empty_like empty_strided
    equal expand_copy eye fill_ flip full full_like gather glu glu_backward im2col index
    index_add index_put index_put_ index_select is_same_size isclose item lift_fresh
    linalg_vector_norm linspace logsumexp masked_fill masked_select max max_pool2d_with_indices
    max_pool2d_with_indices_backward min mse_loss_backward multinomial native_batch_norm
    native_batch_norm_backward native_batch_norm_legit native_dropout native_dropout_backward
    native_group_norm native_group_norm_backward native_layer_norm native_layer_norm_backward
    new_empty new_empty_strided new_full new_ones new_zeros nll_loss_backward nll_loss_forward
    nonzero normal normal_ one_hot ones ones_like pixel_shuffle pixel_unshuffle prod rand
    rand_like randint randn randn_like randperm reflection_pad2d repeat replication_pad2d
    reshape resize_ roll scalar_tensor scatter scatter_add searchsorted select_backward set_
    slice_backward slice_scatter sort split stack std topk tril tril_indices triu triu_indices
    unfold_backward uniform uniform_ unique_dim unsafe_split unsafe_split_with_sizes
    upsample_nearest1d upsample_nearest2d
    upsample_nearest2d_backward var var_mean zero_ zeros zeros_like
    """.split()  # noqa: SIM905  # a list of words is easier to keep than a list of strings
)
_CHEAP_TAGS = {"pointwise", "reduction", "inplace_view", "view_copy"}
ELSEWHERE = "work of other threads or processes"
# `torch.jit.optimize_for_inference` runs convolutions in the layout behind this operator, by
# operators that no counter and no profiler is told of.
HIDING = frozenset({ELSEWHERE, "to_mkldnn"})
OTHERS_SECONDS, OTHERS_SHARE = 1e-3, 0.05
"""Above both, other threads worked: an idle one takes microseconds."""


@dataclass
class FlopReport:
    """What a counter saw."""

    flops: int = 0  # floating-point operations, multiply-add = 2
    by_op: Counter[str] = field(default_factory=Counter)  # the same by operator
    # how often each operator without a formula ran, cheap ones left out
    uncounted: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Tell whether the counter was there where the work was done."""
        return not HIDING & self.uncounted.keys()


class FlopCounter:
    """Count operations inside a ``with`` block, forward and gradients alike.

    Every operator passes through Python, so a training step of many small operators gets slower,
    and compiled functions run uncompiled.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.report = FlopReport()
        self._mode = _CountingMode(self.report, math.inf if limit is None else limit)
        self._fast_path = True

    def __enter__(self) -> Self:
        self._fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(value=False)
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._mode.__exit__(kind, value, trace)  # type: ignore[no-untyped-call]
        torch.backends.mha.set_fastpath_enabled(value=self._fast_path)

    @property
    def seconds_seen_elsewhere(self) -> float:
        """Return CPU seconds of other threads whose operators were counted."""
        return sum(last - first for first, last in self._mode.visited.values())


class _CountingMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, report: FlopReport, limit: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.report, self.limit = report, limit
        self.whole: set[Any] = set()
        # Threads that hand the mode on, as those of gradients on a GPU do: first and last seconds.
        self.home = threading.get_ident()
        self.visited: dict[int, tuple[float, float]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        packet = getattr(func, "_overloadpacket", None)
        if packet is None:  # a higher-order operator: its body is dispatched again
            return func(*args, **kwargs)
        if packet not in _FORMULAS and func not in self.whole:
            # The mode is off inside its own dispatch; entering it again counts the parts.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            self.whole.add(func)
        begin = time.thread_time()
        out = func(*args, **kwargs)
        self._count(func, packet, out, args, kwargs)
        if (thread := threading.get_ident()) != self.home:
            self.visited[thread] = (self.visited.get(thread, (begin,))[0], time.thread_time())
        return out

    def _count(
        self, func: Any, packet: Any, out: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        formula = _FORMULAS.get(packet)
        name = packet.__name__
        if formula is not None:
            count = int(formula(*args, **kwargs, out_val=out))
            self.report.flops += count
            self.report.by_op[name] += count
            if self.report.flops > self.limit:
                raise ResourceError(
                    f"FLOP budget: at most {1e-9 * self.limit:.4g} GFLOP were allowed, and "
                    f"{name} went beyond; do less, or raise the budget (TrainBudget.max_gflop)"
                )
        elif not _is_cheap(func, name):
            self.report.uncounted[str(packet).removeprefix("aten.")] += 1


def training_counter(
    max_gflop: float | None,
) -> AbstractContextManager[FlopCounter | None]:
    """Return the counter to train under, when there is a budget of operations to keep."""
    return nullcontext() if max_gflop is None else FlopCounter(1e9 * max_gflop)


def count_flops(function: Callable[[], Any]) -> FlopReport:
    """Count the operations of one call, and list it when others worked for it unseen."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that what other threads do is not a part of counted operators
    wait_for_idle()
    try:
        with FlopCounter() as counter:
            others, own = other_seconds(), time.thread_time()
            function()
            others, own = other_seconds() - others, time.thread_time() - own
    finally:
        torch.set_num_threads(threads)
    others -= counter.seconds_seen_elsewhere
    if others > max(OTHERS_SECONDS, OTHERS_SHARE * own):
        counter.report.uncounted[ELSEWHERE] += 1
    return counter.report


def _is_cheap(func: Any, name: str) -> bool:
    if func.is_view or name in CHEAP or name.removesuffix("_") in CHEAP:
        return True
    return name.startswith("_foreach_") or bool({tag.name for tag in func.tags} & _CHEAP_TAGS)


def _conv_backward(*args: Any, **kwargs: Any) -> int:
    """Count both gradients; the library's own formula forgets groups in the weight gradient."""
    inner = flop_registry[aten.convolution_backward]
    groups, mask = args[9], args[10]
    into_input = inner(*args[:10], [mask[0], False, False], **kwargs)
    into_weight = inner(*args[:10], [False, mask[1], False], **kwargs)
    return int(into_input + into_weight // groups)


def _matrix_vector(*args: Any, **_: Any) -> int:
    matrix = next(arg for arg in args if isinstance(arg, torch.Tensor) and arg.ndim == 2)
    return 2 * matrix.numel()


def _dot(first: Any, *_: Any, **__: Any) -> int:
    return 2 * int(first.numel())


def _recurrent(first: Any, *weights: Any, **_: Any) -> int:
    """Count a fused recurrent layer: every weight matrix meets every vector of the sequence."""
    flat = weights[0] if isinstance(weights[0], list | tuple) else weights[:4]
    numbers = sum(weight.numel() for weight in flat if weight.ndim == 2)
    return 2 * int(first.numel() // first.shape[-1]) * int(numbers)


def _recurrent_backward(*args: Any, **kwargs: Any) -> int:
    return 2 * _recurrent(*args, **kwargs)  # into inputs and into weights


def _resampled(support: int) -> Callable[..., int]:
    """Return the count of separable, antialiased resampling: first along rows, then columns."""
    # A value is the weighted sum of the ``2 * support`` nearest ones, of more when it shrinks them.

    def count(images: Any, *_: Any, out_val: Any, **__: Any) -> int:
        *many, height, width = images.shape
        into = out_val.shape[-2:]
        taps = [2 * support * max(1.0, a / b) for a, b in zip((height, width), into, strict=True)]
        rows, columns = height * into[1] * taps[1], into[0] * into[1] * taps[0]
        total: int = round(2 * math.prod(many) * (rows + columns))
        return total

    return count


def _formulas() -> dict[Any, Any]:
    forward = flop_registry[aten._scaled_dot_product_flash_attention]
    backward = flop_registry[aten._scaled_dot_product_flash_attention_backward]
    return {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
        **flop_registry,
        aten.convolution_backward: _conv_backward,
        aten.mv: _matrix_vector,
        aten.addmv: _matrix_vector,
        aten.dot: _dot,
        aten.vdot: _dot,
        aten.mkldnn_rnn_layer: _recurrent,
        aten.mkldnn_rnn_layer_backward: _recurrent_backward,
        aten._upsample_bilinear2d_aa: _resampled(1),
        aten._upsample_bicubic2d_aa: _resampled(2),
        aten._cudnn_rnn: _recurrent,
        aten._cudnn_rnn_backward: _recurrent_backward,
    }


_FORMULAS = _formulas()
