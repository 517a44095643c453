"""The models and rows of make bench-models, the same every time:  gen.py DIRECTORY

small: 64 features, 200 trees x 31 leaves; large: 128 features, 500 x 63. Each as LightGBM (NAME.txt, and NAME.v3.txt with
the header that leaves reads), as what onnxmltools makes of that (NAME.onnx), and as XGBoost (NAME.json). Values are exact
in float32, so that all libraries see the same row. Rows are 4,096 that no model was trained on, little-endian float64
(NAME.rows); NAME.want has LightGBM's margins for them.
"""
import pathlib
import sys

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

SHAPES = {"small": (64, 200, 31, 7), "large": (128, 500, 63, 11)}
TRAINING, ROWS = 100_000, 4096


def make(features: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Skewed amounts, counts, two small integers, and one column in four with 10 % missing; one row in ten is positive."""
    rng = np.random.Generator(np.random.PCG64(seed))
    x = rng.standard_normal((rows, features))
    x[:, ::3] = np.exp(x[:, ::3])
    x[:, 1::8] = np.round(np.abs(x[:, 1::8]) * 7)
    x[:, -2] = rng.integers(0, 12, rows)
    x[:, -1] = rng.integers(0, 5, rows)
    w = rng.standard_normal(features) * (rng.random(features) < 0.5)
    z = np.tanh(x) @ w + 1.5 * np.tanh(x[:, 0] * x[:, 3]) + 0.8 * (x[:, -2] == 3) * x[:, 2] - 0.5 * (x[:, -1] == 1)
    y = z + rng.standard_normal(rows) > np.quantile(z, 0.9)
    for column in range(0, features - 2, 4):
        x[rng.random(rows) < 0.10, column] = np.nan
    return x.astype(np.float32).astype(np.float64), y.astype(np.int32)


def main(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, (features, trees, leaves, seed) in SHAPES.items():
        x, y = make(features, TRAINING + ROWS, seed)
        known, label, rows = x[:TRAINING], y[:TRAINING], np.ascontiguousarray(x[TRAINING:])
        booster = lgb.train(
            dict(objective="binary", num_leaves=leaves, learning_rate=0.05, min_data_in_leaf=20, seed=1, deterministic=True,
                 force_row_wise=True, num_threads=1, verbose=-1), lgb.Dataset(known, label), trees)
        text = booster.model_to_string()
        (directory / f"{name}.txt").write_text(text)
        (directory / f"{name}.v3.txt").write_text(text.replace("version=v4", "version=v3", 1))
        onnx = convert_lightgbm(booster, name=name, initial_types=[("x", FloatTensorType([None, features]))], zipmap=False,
                                target_opset=15)
        (directory / f"{name}.onnx").write_bytes(onnx.SerializeToString())
        boosted = xgb.train(
            dict(objective="binary:logistic", tree_method="hist", grow_policy="lossguide", max_leaves=leaves, max_depth=0, eta=0.05,
                 min_child_weight=1, seed=1, nthread=1), xgb.DMatrix(known, label), trees)
        boosted.save_model(directory / f"{name}.json")
        rows.tofile(directory / f"{name}.rows")
        booster.predict(rows, raw_score=True, num_threads=1).tofile(directory / f"{name}.want")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
