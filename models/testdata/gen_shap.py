"""Writes shap/: what the shap package answers for some of the committed models, interventional and interactions.

    python3 -m venv V && V/bin/pip install shap==0.51.0 lightgbm==4.7.0 numpy==2.4.6 && V/bin/python gen_shap.py

Per model of golden/ (gen_goldens.py): NAME.csv, one row per input: x0… (an empty cell is NaN), then base and p<feature>… of
TreeExplainer(feature_perturbation="interventional") against the other rows of the file, in the file's order, and
q<feature>_<feature>… of shap_interaction_values (tree_path_dependent), row by row of the matrix. Models without categorical splits
only: shap has none. Values are within float32's range: shap looks at thresholds in float64, and at what is missing by NaN alone.
"""
import csv
import json
import os

import lightgbm as lgb
import numpy as np
import shap

import goldens

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ["binary", "binary_nan", "dart", "regression", "deep12"]


def rows(name, count):
    with open(os.path.join(HERE, "golden", name + ".csv"), newline="") as f:
        head, *lines = csv.reader(f)
    n = sum(h[0] == "x" for h in head)
    x = np.array([[float(c) if c else np.nan for c in line[:n]] for line in lines])
    return x[(np.nan_to_num(np.abs(x)) < 1e9).all(axis=1)][:count]


def main():
    for name in NAMES:
        model = lgb.Booster(model_file=os.path.join(HERE, "golden", name + ".txt"))
        x = rows(name, 16)
        f = x.shape[1]
        explainer = shap.TreeExplainer(model, x, feature_perturbation="interventional", model_output="raw")
        phi = explainer.shap_values(x, check_additivity=False)
        base = np.full((len(x), 1), np.ravel(explainer.expected_value)[-1])
        pairs = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent").shap_interaction_values(x)
        head = [f"x{j}" for j in range(f)] + ["base"] + [f"p{j}" for j in range(f)] + [f"q{i}_{j}" for i in range(f) for j in range(f)]
        table = np.hstack([x, base, np.asarray(phi).reshape(len(x), f), np.asarray(pairs).reshape(len(x), f * f)])
        with open(os.path.join(HERE, "shap", name + ".csv"), "w", newline="\n") as out:
            out.write(goldens.text(head, table))
    with open(os.path.join(HERE, "shap", "versions.json"), "w") as out:
        json.dump({"shap": shap.__version__, "lightgbm": lgb.__version__, "numpy": np.__version__}, out)
        out.write("\n")


if __name__ == "__main__":
    main()
