"""What a submission implements: ``Encoder``, ``Inverter`` or ``Learner``.

There is no base class and nothing to register. A class with the right methods is a submission::

    class PixelMean:                              # file.py
        slot_dim = 3

        def setup(self, spec, device):
            self.slots = spec.max_slots

        def encode(self, images):                 # (B, 3, H, W) -> SlotOutput
            mean = images.mean(dim=(2, 3))        # (B, 3)
            return SlotOutput(slots=mean[:, None].repeat(1, self.slots, 1))

* An **Encoder** maps images straight to slots (non-generative inference).
* An **Inverter** starts from a guess and improves it by search, one step per call. The harness
  owns the loop and reads the slots at several step counts, so one run gives the whole curve of
  accuracy against test-time compute, and step 0 is the method without search.
* A **Learner** trains one of the two on the data that the harness serves.

A method sees images only. It is never told the split of an image, and in- and
out-of-combination images come interleaved in the same batches, so ``encode`` and ``step`` must
treat every image on its own, and keep nothing of one call for the next. On a CPU both are
enforced: images are asked again among others, and in a twin of the process that was forked before
the first question and knows no other answer. Where a process cannot be forked (accelerators), that
nothing is kept is declared, not verified, and the result says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from jaxtyping import Float
    from torch import Tensor

    from recombine.benchmark.serving.data import TrainData

Inference = Literal["direct", "replay", "search", "replay+search"]
Supervision = Literal["unsupervised", "weak", "supervised"]
DataTrack = Literal["scratch", "pretrained", "open"]
Role = Literal["method", "control", "floor", "bound"]


@dataclass(frozen=True)
class SplitSpec:
    """All that a method may know about the data: no split name, no in- or out-flag.

    Attributes
    ----------
    image_hw : tuple of int
        Image height and width in pixels.
    max_slots : int
        Number of slots K of the scene: the objects, then the background.
    factors : Mapping of str to str
        Factor name to type: ``"object.shape": "categorical[4]"``, ``"object.yaw": "angle[rad]"``,
        ``"object.x": "float[m]"``. The slot's name is the part before the dot.
    """

    image_hw: tuple[int, int]
    max_slots: int
    factors: Mapping[str, str]


@dataclass(frozen=True)
class SlotOutput:
    """What a method returns for a batch of B images.

    Attributes
    ----------
    slots : Tensor
        ``(B, S, D)`` float32, finite. S is the same for every batch and at least
        ``SplitSpec.max_slots``; D is the method's ``slot_dim``. The order of the slots is free but
        fixed: slot j must mean the same thing in every image (the harness decides one assignment
        of slots to scene slots on in-combination images and freezes it), unless the
        method's card says that its slots are exchangeable, and it returns masks. A method with
        one vector per image repeats it S times.
    presence : Tensor, optional
        ``(B, S)`` float32 in [0, 1], the probability that the slot is in use.
    masks : Tensor, optional
        ``(B, S, H, W)`` float32 in [0, 1].
    factors : Mapping of str to Tensor, optional
        Supervised track only: predicted factors, in the units of ``SplitSpec``.
    """

    slots: Float[Tensor, "images slots dim"]
    presence: Float[Tensor, "images slots"] | None = None
    masks: Float[Tensor, "images slots height width"] | None = None
    factors: Mapping[str, Tensor] | None = None


@runtime_checkable
class Encoder(Protocol):
    """A method that maps images to slots in one pass.

    Attributes
    ----------
    slot_dim : int
        Size D of a slot vector, 1 to 512.
    """

    slot_dim: int

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Get ready for images of this kind; called once, before anything else.

        Parameters
        ----------
        spec : SplitSpec
            Image size, number of slots and factor types.
        device : torch.device
            Where ``images`` will live and where the answer is expected.
        """
        ...

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> SlotOutput:
        """Return the slots of a batch of images.

        Runs inside ``torch.inference_mode``.

        Parameters
        ----------
        images : Tensor
            ``(B, 3, H, W)`` float32, sRGB-encoded, in [0, 1]. B varies. The images are independent.

        Returns
        -------
        SlotOutput
            Slots of shape ``(B, S, slot_dim)``.
        """
        ...


@runtime_checkable
class Inverter(Protocol):
    """A method that inverts a decoder by search. The harness owns the loop.

    The harness calls ``state = init(images)``, then ``state = step(images, state)`` again and
    again, and calls ``read(state)`` at the step counts it wants. No call runs inside
    ``torch.inference_mode`` or ``torch.no_grad``: turn gradients off where you do not need them.

    Attributes
    ----------
    slot_dim : int
        Size D of a slot vector, 1 to 512.
    """

    slot_dim: int

    def setup(self, spec: SplitSpec, device: torch.device) -> None:
        """Get ready for images of this kind; called once, before anything else.

        Parameters
        ----------
        spec : SplitSpec
            Image size, number of slots and factor types.
        device : torch.device
            Where ``images`` will live and where the answer is expected.
        """
        ...

    def init(self, images: Float[Tensor, "images 3 height width"]) -> Any:
        """Return the state before the first search step, for example an encoder's guess.

        Parameters
        ----------
        images : Tensor
            ``(B, 3, H, W)`` float32 in [0, 1].

        Returns
        -------
        Any
            Whatever ``step`` and ``read`` need: slots, optimiser moments, best loss so far.
        """
        ...

    def step(self, images: Float[Tensor, "images 3 height width"], state: Any) -> Any:
        """Make exactly one search step and return the new state.

        Parameters
        ----------
        images : Tensor
            The same images that ``init`` got.
        state : Any
            The last state. It may be changed in place.

        Returns
        -------
        Any
            The next state.
        """
        ...

    def read(self, state: Any) -> SlotOutput:
        """Return the slots that a state stands for. It must not change the state.

        Parameters
        ----------
        state : Any
            A state from ``init`` or ``step``.

        Returns
        -------
        SlotOutput
            Slots of shape ``(B, S, slot_dim)``.
        """
        ...

    def decode(
        self, slots: Float[Tensor, "images slots dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Return the images that slots stand for.

        Parameters
        ----------
        slots : Tensor
            ``(B, S, slot_dim)`` float32.

        Returns
        -------
        Tensor
            ``(B, 3, H, W)`` float32 in [0, 1].
        """
        ...


@dataclass(frozen=True)
class TrainBudget:
    """What a training run may use. None means no limit.

    Attributes
    ----------
    max_images_seen : int, optional
        Training images served, in batches or all at once, counted with repetition over epochs.
        Validation images are counted apart, and may be served as often: a look at them per epoch
        leaves the training budget alone, and training on them is on record. The data refuse to
        serve more.
    max_gflop : float, optional
        Training compute in 1e9 floating-point operations. They are counted, and training is
        stopped where it exceeds them; without a limit they are not counted, since that slows down.
    max_seconds : float, optional
        Wall-clock seconds of ``fit``; a run that took longer is refused.
    """

    max_images_seen: int | None = None
    max_gflop: float | None = None
    max_seconds: float | None = None


class RunLog(Protocol):
    """Where a learner reports what the harness cannot see by itself."""

    def count_generated(self, n_images: int) -> None:
        """Count images that the method made itself: replayed, decoded or extra renders.

        Parameters
        ----------
        n_images : int
            Number of images used for training just now, at least 0.
        """
        ...

    def config_tried(self, config: Mapping[str, Any], id_val_score: float) -> None:
        """Record one configuration that was compared on in-combination validation images.

        Parameters
        ----------
        config : Mapping
            The settings, as plain JSON values.
        id_val_score : float
            Its selection score; higher is better.
        """
        ...

    def scalar(self, name: str, value: float, step: int) -> None:
        """Record one point of a training curve.

        Parameters
        ----------
        name : str
            For example ``"loss"``.
        value : float
            The value.
        step : int
            The optimiser step, from 0.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """A method that the harness trains, once per seed (trust tier *retrained*).

    A learner may carry ``card: MethodCard`` for the leaderboard. A frozen dataclass of settings is
    the usual form: its fields then become part of the run's identity, so that a finished run is
    found again and a changed setting trains anew.
    """

    def fit(
        self,
        data: TrainData,
        val: TrainData,
        *,
        seed: int,
        budget: TrainBudget,
        log: RunLog,
    ) -> Encoder | Inverter:
        """Train on in-combination images and return the fitted method.

        Parameters
        ----------
        data : TrainData
            In-combination training images with the fields that the track allows.
        val : TrainData
            In-combination validation images, the only images on which settings may be chosen.
        seed : int
            Seed of everything random in the run.
        budget : TrainBudget
            What the run may use.
        log : RunLog
            Where generated images and tried configurations are counted.

        Returns
        -------
        Encoder or Inverter
            The fitted method; the harness then calls its ``setup``.
        """
        ...


@dataclass(frozen=True)
class MethodCard:
    """What the leaderboard prints about a method, declared by its author.

    Attributes
    ----------
    id : str
        Lower-case letters, digits and hyphens, for example ``"autoencoder-replay"``.
    name : str
        Name for people.
    inference : {"direct", "replay"}
        How the method answers *before* any search step: by an encoder trained on real images
        only, or by an encoder that was also trained on its own decoded recombinations. The harness
        turns it into "search" or "replay+search" for results read after search steps.
    supervision : {"unsupervised", "weak", "supervised"}
        Labels used in training: none; masks; factor values. Decides what ``TrainData`` serves.
    data : {"scratch", "pretrained", "open"}
        Only the served images; weights from elsewhere; extra renders.
    source : str
        Paper and equation that the method follows.
    note : str
        Anything a reader must know, for example deviations from the source.
    slots : {"fixed", "exchangeable"}
        Whether slot j means the same thing in every image. Exchangeable slots are matched to
        objects image by image on masks, never on a scored factor; the method must return masks,
        of at most 16 slots, and is refused where the data recombine places.
    role : {"method", "control", "floor", "bound"}
        What the entry is there for: a method that competes; a control, which differs from another
        entry in one respect; a floor, which knows nothing or learnt nothing; an upper bound, which
        saw what others must not and is out of competition.
    generative : bool
        Whether training fits a network that draws images, such as a decoder, even if the answers
        do without it. Images whose licence forbids that are refused before it trains.
    authors : tuple of str
        Who made the method, each as ``"A. Name"`` or ``"A. Name (0000-0002-1825-0097)"`` with the
        ORCID.
    licence : str
        Of the code, such as ``"Apache-2.0"``; ``"closed"`` when it cannot be read.
    code, paper : str
        https links.
    pretraining : tuple of str
        Data and weights beyond the served images, each by name.
    """

    id: str
    name: str
    inference: Literal["direct", "replay"] = "direct"
    supervision: Supervision = "unsupervised"
    data: DataTrack = "scratch"
    source: str = ""
    note: str = ""
    slots: Literal["fixed", "exchangeable"] = "fixed"
    role: Role = "method"
    generative: bool = False
    authors: tuple[str, ...] = ()
    licence: str = ""
    code: str = ""
    paper: str = ""
    pretraining: tuple[str, ...] = ()
