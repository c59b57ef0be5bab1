"""Write the labels of CLEVRTex: python clevrtex.py clevrtex_full clevrtex.csv."""

import csv
import json
import sys
from pathlib import Path

folder, rows = Path(sys.argv[1]), [["file", "scene.count", "ground.material"]]
for path in sorted(folder.glob("**/CLEVRTEX_full_??????.json")):
    scene, image = json.loads(path.read_text()), path.with_suffix(".png").relative_to(folder)
    rows.append([image.as_posix(), len(scene["objects"]), scene["ground_material"]])
with Path(sys.argv[2]).open("w", newline="") as out:
    csv.writer(out).writerows(rows)
