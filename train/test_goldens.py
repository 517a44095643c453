"""The goldens of models/testdata are what LightGBM answers: here, with the pinned version, for every committed file of header v4.
(Those of v2 and v3 were written by the old libraries and are left alone.)"""
import csv
import gzip
import json
import pathlib

import lightgbm as lgb
import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "models" / "testdata" / "golden"
NAMES = sorted(p.name.removesuffix(".gz").removesuffix(".txt") for p in GOLDEN.glob("*.txt*"))


def text(name):
    path = GOLDEN / name
    return path.read_text() if path.exists() else gzip.open(str(path) + ".gz", "rt").read()


def test_versions_are_noted():
    assert json.loads((GOLDEN / "versions.json").read_text())["4"]["lightgbm"] == lgb.__version__ and len(NAMES) >= 80


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith(("v2_", "v3_"))])
def test_golden(name):
    rows = list(csv.reader(text(name + ".csv").splitlines()))
    values = np.array([[float(c) if c else np.nan for c in r] for r in rows[1:]])
    column = {kind: values[:, [i for i, h in enumerate(rows[0]) if h[0] in kind]] for kind in ("x", "m", "s", "cb")}
    model = lgb.Booster(model_str=text(name + ".txt"))
    x = np.ascontiguousarray(column["x"])
    n = len(x)
    assert (np.asarray(model.predict(x, raw_score=True)).reshape(n, -1) == column["m"]).all()
    np.testing.assert_allclose(np.asarray(model.predict(x)).reshape(n, -1), column["s"], rtol=1e-14)  # another libm, another last bit
    if column["cb"].shape[1]:
        np.testing.assert_allclose(np.asarray(model.predict(x, pred_contrib=True)).reshape(n, -1), column["cb"], rtol=1e-9, atol=1e-12)
