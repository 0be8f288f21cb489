"""Trains `credit`: is an applicant a good or a bad credit risk. Writes credit.onnx and pack.toml."""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from columns import COLUMNS, LEFT_OUT, NUMERIC, UNITS
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common import check_onnx, write_recipe

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
SEED = 0
INPUTS = [name for name in COLUMNS if name not in LEFT_OUT]
NUMBERS = [name for name in INPUTS if COLUMNS[name] == NUMERIC]
CHOICES = [name for name in INPUTS if COLUMNS[name] != NUMERIC]
# The dataset's own cost matrix: a bad risk taken for a good one costs five times the reverse.
COST_OF_BAD_TAKEN_FOR_GOOD = 5


def main(data: Path) -> None:
    table, risk = read(data)
    x_train, x_test, y_train, y_test = train_test_split(table, risk, test_size=0.25, stratify=risk, random_state=SEED)
    model = pipeline().fit(x_train, y_train)
    settle_ties(model[-1])
    predicted, probabilities = model.predict(x_test), model.predict_proba(x_test)

    path = HERE / "credit.onnx"
    types = [(name, FloatTensorType([None, 1]) if name in NUMBERS else StringTensorType([None, 1])) for name in INPUTS]
    exported = to_onnx(model, initial_types=types, target_opset={"": 17, "ai.onnx.ml": 3})
    # skl2onnx lists the opsets in a set's order, which changes from run to run and the file's digest with it.
    exported.opset_import.sort(key=lambda opset: opset.domain)
    onnx.save(exported, path)
    feeds = {name: x_test[[name]].to_numpy(dtype=np.float32 if name in NUMBERS else object) for name in INPUTS}
    difference = check_onnx(path, feeds, [predicted, probabilities.astype(np.float32)])
    bad, good = (probabilities[:, list(model.classes_).index(label)] for label in ("bad", "good"))
    write_recipe(HERE / "pack.toml", recipe(table, x_test, y_test, good))

    confusion = confusion_matrix(y_test, predicted, labels=["good", "bad"])
    print(f"held-out accuracy  {accuracy_score(y_test, predicted):.4f} on {len(y_test)} rows")
    print(f"majority class     {(y_test == 'good').mean():.4f} (balanced 0.5, ROC AUC 0.5)")
    print(f"balanced accuracy  {balanced_accuracy_score(y_test, predicted):.4f}")
    print(f"ROC AUC            {roc_auc_score(y_test == 'bad', bad):.4f}")
    print(f"Brier score        {brier_score_loss(y_test == 'bad', bad):.4f}")
    print(f"confusion          {confusion.tolist()} (true good, true bad)")
    print(f"cost               {confusion[0, 1] + COST_OF_BAD_TAKEN_FOR_GOOD * confusion[1, 0]}, ", end="")
    print(f"all taken {COST_OF_BAD_TAKEN_FOR_GOOD * (y_test == 'bad').sum()}, all refused {(y_test == 'good').sum()}")
    scores = ("accuracy", "balanced_accuracy", "roc_auc")
    folds = cross_validate(
        pipeline(), table, risk, cv=StratifiedKFold(10, shuffle=True, random_state=SEED), scoring=scores
    )
    for score in scores:
        values = folds["test_" + score]
        print(f"10-fold {score:<18} {values.mean():.4f} +- {values.std():.4f}")
    print(f"against onnxruntime {difference:.1e}, {path.stat().st_size} bytes")


def read(data: Path) -> tuple[pd.DataFrame, pd.Series]:
    """The inputs as floats and codes, and each row's class as "good" or "bad"."""
    rows = pd.read_csv(data, sep=r"\s+", header=None, names=[*COLUMNS, "risk"])
    rows[NUMBERS] = rows[NUMBERS].astype(np.float32)
    rows[CHOICES] = rows[CHOICES].astype(object)
    return rows[INPUTS], rows["risk"].map({1: "good", 2: "bad"}).astype(object)


def pipeline() -> Pipeline:
    """Numbers standardised, codes one-hot, then boosted trees."""
    return make_pipeline(
        ColumnTransformer([
            ("numbers", StandardScaler(), NUMBERS),
            ("choices", OneHotEncoder(handle_unknown="ignore"), CHOICES),
        ]),
        GradientBoostingClassifier(
            n_estimators=200, learning_rate=0.05, max_depth=3, subsample=0.7, max_features="sqrt", random_state=SEED
        ),
    )


def settle_ties(boosting: GradientBoostingClassifier) -> None:
    """Lifts every threshold a little, so that a value that equals one goes left whatever the rounding of the scaler.

    A threshold between the ages 30 and 32 is the age 31: float32 and float64 scale 31 to different sides of it.
    The lift is far below the distance of two whole numbers (0.0004 for the amount) and far above rounding (2e-7).
    """
    for tree in boosting.estimators_.ravel():
        tree.tree_.threshold[tree.tree_.children_left != tree.tree_.children_right] += 1e-5


def recipe(table: pd.DataFrame, x_test: pd.DataFrame, y_test: pd.Series, good: np.ndarray) -> dict:
    unsure = int(np.argmin(abs(good - 0.5)))
    truth = y_test.to_numpy()
    chosen = {
        "A clearly good risk": int(np.argmax(np.where(truth == "good", good, -1))),
        "A clearly bad risk": int(np.argmin(np.where(truth == "bad", good, 2))),
        f"A borderline applicant (in truth a {truth[unsure]} risk)": unsure,
    }
    return {
        "model": "credit.onnx",
        "name": "credit",
        "task": "predict",
        "description": "Tells good from bad credit risks by what an applicant stated (Germany, 1970s).",
        "licence": "CC-BY-4.0",
        "features": [feature(name, table[name]) for name in INPUTS],
        "examples": [
            {
                "title": title,
                "input": {name: float(v) if name in NUMBERS else v for name, v in x_test.iloc[row].items()},
            }
            for title, row in chosen.items()
        ],
    }


def feature(name: str, column: pd.Series) -> dict:
    if name in CHOICES:
        return {"name": name, "choices": COLUMNS[name]}
    unit = {"unit": UNITS[name]} if name in UNITS else {}
    return {"name": name, **unit, "minimum": float(column.min()), "maximum": float(column.max())}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--data",
        type=Path,
        default=CHECKOUT / "../shared/data/german_credit/german.data",
        help="UCI's german.data (default: ../shared/data/german_credit/german.data seen from the checkout)",
    )
    main(arguments.parse_args().data)
