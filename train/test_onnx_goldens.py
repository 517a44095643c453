"""The goldens of models/testdata/onnx are what ONNX Runtime answers, for every committed file, and what shap, LightGBM and XGBoost say
of the models: here, with the pinned versions, trained anew."""
import csv
import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest

TESTDATA = pathlib.Path(__file__).resolve().parent.parent / "models" / "testdata"
GOLDEN = TESTDATA / "onnx"
NAMES = sorted(p.stem for p in GOLDEN.glob("*.onnx"))

sys.path.insert(0, str(TESTDATA))
import gen_onnx  # noqa: E402


def table(path):
    rows = list(csv.reader(path.read_text().splitlines()))
    return rows[0], np.array([[float(c) if c else np.nan for c in r] for r in rows[1:]])


def test_versions_are_noted():
    assert json.loads((GOLDEN / "versions.json").read_text())["onnxruntime"] == onnxruntime.__version__ and len(NAMES) >= 120


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    head, want = table(GOLDEN / (name + ".csv"))
    kind = np.array([h[0] for h in head])
    outputs = (kind == "m").sum()
    model = onnx.load(GOLDEN / (name + ".onnx"))
    _, got = gen_onnx.answers(model, want[:, kind == "x"], keep=range(outputs) if outputs > 1 else None)
    got_head = [h for h in head if h[0] in "xms"]
    margins = np.array([h[0] for h in got_head]) == "m"
    assert (got[:, margins] == want[:, kind == "m"]).all()
    np.testing.assert_allclose(got[:, np.array([h[0] for h in got_head]) == "s"], want[:, kind == "s"], rtol=1e-6, atol=1e-7)  # another libm


def test_contributions(tmp_path, monkeypatch):
    warnings.filterwarnings("ignore")
    monkeypatch.setattr(gen_onnx, "HERE", str(tmp_path))
    gen_onnx.sklearn_models()
    gen_onnx.boosters()
    explained = sorted(p.stem for p in GOLDEN.glob("*.reference"))
    assert len(explained) >= 30
    for name in explained:
        head, want = table(GOLDEN / (name + ".csv"))
        got_head, got = table(tmp_path / (name + ".csv"))
        assert head == got_head
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7, err_msg=name)
