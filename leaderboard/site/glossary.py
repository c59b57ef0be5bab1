"""What the words of the tables mean: beside the terms, and on the page of how to read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word of the tables."""

    key: str  # the anchor of its definition
    name: str  # as the tables print it
    words: str  # what it means


GLOSSARY: dict[str, Term] = {
    term.key: term
    for term in (
        Term(
            "ooc",
            "OOC, unseen combinations",
            "Out of combination: images of combinations that training never showed, although it "
            "showed every single value. The number is the share of images in which every "
            "recombined factor is read out right, averaged over combinations, then over seeds. "
            "The readout is fitted on seen combinations only.",
        ),
        Term(
            "id",
            "ID, seen combinations",
            "In combination: new images of combinations that training showed, scored as OOC is.",
        ),
        Term(
            "interval",
            "95 % interval",
            "Over training runs, values, combinations and nuisance blocks together. Any of them "
            "alone would give intervals that are too short.",
        ),
        Term(
            "gap",
            "Gap",
            "ID minus OOC, in points. ID and OOC images show the same nuisance blocks (position, "
            "angle, light, render seed), so their luck cancels. The interval is about combinations "
            "like these; on the page of an entry a narrower one is about exactly these.",
        ),
        Term(
            "rank",
            "Verdict",
            "What the data decide about an entry's place, for all entries that are judged together "
            "(named below the table). “May be the best”: no other is shown to be better, by "
            "multiple comparisons with the best (Hsu). Above, below or not told from the "
            "reference: a baseline fixed beforehand, with which all are compared (Dunnett). Each "
            "of the two is wrong anywhere on a board in at most 5 of 100 boards. Entries with "
            "fewer than 3 seeds are not tested; with fewer than 5 they are a sketch.",
        ),
        Term(
            "gflop",
            "GFLOP per image",
            "Operations of one answer in units of 10⁹, every search step included.",
        ),
        Term(
            "track",
            "Track",
            "What an entry may use. Training data: scratch, the served images only; pretrained, "
            "weights from other data; open, it may render further images. Supervision: all labels "
            "in training, weak ones, or none. Test compute: T1, T10 and T100, at most 3, 30 and "
            "300 times the operations of the reference encoder, a ResNet-18 at the same image "
            "size.",
        ),
        Term(
            "lift",
            "Lift",
            "(OOC \u2212 floor) / (1 \u2212 floor). The floor is the best that ignorance scores: "
            "chance, one factor right and the others guessed, a guess among the combinations that "
            "training never showed, both together, and what a matching of slots on masks gives "
            "away. 1 is perfect, 0 ignorance, below 0 worse than that.",
        ),
        Term(
            "seeds",
            "Seeds",
            "Training runs that differ in their random seed. Fewer than 5 are marked as a sketch.",
        ),
        Term(
            "trust",
            "Trust",
            "Who ran what. Self-reported: nobody who keeps this board has checked the file. "
            "Rescored: numbers recomputed from the predictions that were handed in. Rerun: a "
            "maintainer's harness ran the weights. Retrained: it trained them too, every seed. "
            "Headline and figures are made from rerun and retrained entries only.",
        ),
        Term("steps", "Search steps", "How often the decoder was searched for one answer."),
        Term("images", "Training images seen", "Images seen in training, with repetition."),
        Term(
            "tried",
            "Configurations tried",
            "Before this one was chosen, as the submission logged them.",
        ),
    )
}
