"""The picture of the task: two seen combinations and the unseen one that mixes them."""

import io

from PIL import Image, ImageDraw
from sample_board import PNG, sample, write_card

from recombine.leaderboard.site.data_pages import load_card
from recombine.leaderboard.site.task import examples, grid
from recombine.renderer.presets.table import load_preset
from recombine.renderer.store.preview import ID_FRAME, OOC_FRAME, Measures, Panel

RECIPE = {"preset": "smoke", "values": 4}


def sheet(unseen, seen, spare=0):
    """Draw a contact sheet of the smoke preset: every picture has the colour of its place."""
    schema = load_preset("smoke", values=4).schema
    down, across = (schema.factor(key) for key in schema.recombined)
    panel = Panel("", down.name, across.name, down.values, across.values, {})
    sizes = Measures.of(panel)
    width, height = sizes.size(panel)
    drawn = Image.new("RGB", (width + spare, height), "white")
    pen = ImageDraw.Draw(drawn)
    for places, frame in ((unseen, OOC_FRAME), (seen, ID_FRAME)):
        for i, j in places:
            x, y = sizes.corner(i, j)
            pen.rectangle((x, y, x + sizes.tile - 1, y + sizes.tile - 1), fill=frame)
            edge = sizes.tile - sizes.frame - 1
            pen.rectangle(
                (x + sizes.frame, y + sizes.frame, x + edge, y + edge), fill=(60 * i, 60 * j, 0)
            )
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=92)
    return buffer.getvalue(), down.values, across.values


def card(tmp_path, content):
    folder = write_card(tmp_path / "data", PNG)
    (folder / "preview.png").unlink()
    (folder / "contact_sheet.jpg").write_bytes(content)
    return load_card(folder)


def test_an_unseen_combination_stands_beside_two_seen_ones_that_share_its_values(tmp_path):
    content, down, across = sheet(unseen=[(0, 1), (2, 3)], seen=[(0, 0), (1, 1), (2, 2), (3, 3)])
    result = sample(0, data={"recipe": RECIPE})
    found = examples(card(tmp_path, content), result)
    assert [one.unseen.name for one in found] == [
        f"{down[0]}, {across[1]}",
        f"{down[2]}, {across[3]}",
    ]
    assert [scene.name for scene in found[0].seen] == [
        f"{down[0]}, {across[0]}",
        f"{down[1]}, {across[1]}",
    ]
    assert found[0].unseen.uri.startswith("data:image/jpeg;base64,")


def test_a_sheet_of_another_layout_gives_no_picture(tmp_path):
    content, _, _ = sheet([(0, 1)], [(0, 0), (1, 1)], spare=1)
    assert examples(card(tmp_path, content), sample(0, data={"recipe": RECIPE})) == ()
    assert examples(None, sample(0, data={"recipe": RECIPE})) == ()


def test_without_pictures_the_split_is_drawn_as_a_grid():
    drawn = grid(sample(0))
    assert drawn.count('class="seen"') == 8
    assert drawn.count('class="held-out"') == 8
