# python clevrtex.py clevrtex_full clevrtex.csv
import csv, json, pathlib, sys  # noqa: E401

folder = pathlib.Path(sys.argv[1])
with open(sys.argv[2], "w", newline="") as out:
    table = csv.writer(out)
    table.writerow(["file", "scene.count", "ground.material"])
    for path in sorted(folder.glob("**/CLEVRTEX_full_??????.json")):
        scene, image = json.loads(path.read_text()), path.with_suffix(".png").relative_to(folder)
        table.writerow([image.as_posix(), len(scene["objects"]), scene["ground_material"]])
