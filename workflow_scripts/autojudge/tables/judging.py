"""Tables of judging: the classifier grid and its scores."""

import pyarrow as pa

from autojudge.tables.mining import KEY
from autojudge.tables.table import Column, Table

POINT = {
    "feature_set": Column(pa.string(), doc="key of judge.feature_sets"),
    "classifier": Column(pa.string(), doc="key of judge.classifiers"),
    "hyperparameter": Column(pa.string(), doc="name of the hyperparameter"),
    "value": Column(pa.float64(), doc="its value"),
}

GRID = Table(
    "grid",
    {
        **POINT,
        "fold": Column(
            pa.string(),
            doc="`validation`: fitted on train, measured on validation; `i-of-n`: train and validation problems "
            "together, measured on the i-th part and fitted on the others",
        ),
        "auc": Column(pa.float64(), doc="area under the ROC curve for the label important, on the fold"),
        "average_precision": Column(pa.float64(), doc="area under the precision-recall curve, on the fold"),
        "accepted_at_90": Column(
            pa.float64(), doc="share of unimportant mismatches accepted where 90 % of important ones are refused"
        ),
        "accepted_at_95": Column(pa.float64(), doc="the same for 95 %"),
        "auc_train": Column(pa.float64(), doc="area under the ROC curve on the rows of the fit"),
        "n_train": Column(pa.int64(), doc="mismatches of the fit"),
        "n_fold": Column(pa.int64(), doc="mismatches of the fold"),
        "features_read": Column(pa.int64(), doc="numbers that the judge reads of a mismatch: what it costs to serve"),
        "seconds": Column(pa.float64(), doc="time of the fit"),
    },
    doc="One row per grid point and fold: results/{dataset}/{pair}/grid.parquet.",
)

SCORES = Table(
    "scores",
    {
        **POINT,
        "fold": Column(
            pa.string(), doc="as in `grid`; mismatches of the test split are scored by the fit of `validation`"
        ),
        "split": Column(pa.string(), doc="train, validation or test"),
        **KEY,
        "important": Column(pa.bool_(), doc="the label"),
        "score": Column(pa.float32(), doc="p(important) before calibration"),
    },
    doc="One row per grid point and mismatch that it was not fitted on: results/{dataset}/{pair}/scores.parquet.",
)
