"""The goldens of models/testdata/xgboost are what XGBoost answers: here, with the pinned version, for every file that it wrote.
(Those of other versions were written by those and are left alone.)"""
import csv
import json
import pathlib
import sys

import numpy as np
import pytest
import xgboost as xgb

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "models" / "testdata"
GOLDEN = TESTDATA / "xgboost"
NAMES = sorted(p.name for p in GOLDEN.iterdir() if p.name.startswith("v32_") and p.suffix in (".json", ".ubj"))

sys.path.insert(0, str(TESTDATA))
import gen_xgboost  # noqa: E402


def test_versions_are_noted():
    assert json.loads((GOLDEN / "versions.json").read_text())["v32"]["xgboost"] == xgb.__version__ and len(NAMES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    rows = list(csv.reader((GOLDEN / name).with_suffix(".csv").read_text().splitlines()))
    want = np.array([[float(c) if c else np.nan for c in r] for r in rows[1:]])
    x = np.ascontiguousarray(want[:, [i for i, h in enumerate(rows[0]) if h[0] == "x"]])
    booster = xgb.Booster(model_file=str(GOLDEN / name))
    types = booster.feature_types or []
    head, got = gen_xgboost.answers(str(GOLDEN / name), x, cats=[(j, 0) for j, t in enumerate(types) if t == "c"], names=booster.feature_names)
    assert head == rows[0]
    kind = np.array([h[0] for h in head])
    assert (got[:, kind == "m"] == want[:, kind == "m"]).all()
    np.testing.assert_allclose(got[:, kind != "m"], want[:, kind != "m"], rtol=1e-5, atol=1e-6)  # another libm, another last bit
