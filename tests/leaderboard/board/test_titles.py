"""What a dataset is called for people."""

from sample_board import sample

from recombine.leaderboard.board.titles import dataset_title


def test_rungs_of_one_preset_are_told_apart():
    def title(**recipe):
        data = {**sample(0).data.model_dump(mode="json"), "recipe": recipe}
        return dataset_title(sample(0, data=data))

    assert title(preset="object-background", rung=0) == "Object and background"
    assert title(preset="object-background", rung=2) == "Object and background, rung 2"
    assert title(preset="of-another-version", rung=2) == dataset_title(sample(0))
