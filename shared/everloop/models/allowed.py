"""The reviewed list of what a model file may contain. Ours, in code: never the file's own list, never skops' default.

skops trusts every scikit-learn estimator and every ufunc unasked. This list is narrower: it names, per kind of node,
the classes that such a node may make. Kinds that make callables (`FunctionNode`, `PartialNode`, `MethodNode`,
`OperatorFuncNode`, `ConstructorFromReduceNode`) or raw bytes are not in it at all.

How a name gets in: dump a fitted model of the family with the pinned skops and scikit-learn, read the class, make sure
that neither `__new__` nor `__setstate__` nor `predict` opens, imports or calls what the file names; raise `REVIEW`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REVIEW: Final = "1 (skops 0.16.0, protocol 2; scikit-learn 1.9.1)"
PROTOCOL: Final = 2


def _within(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


PREPROCESSING: Final = (
    _within("sklearn.pipeline", "Pipeline")
    | _within("sklearn.compose._column_transformer", "ColumnTransformer")
    | _within("sklearn.preprocessing._encoders", "OneHotEncoder OrdinalEncoder")
    | _within("sklearn.preprocessing._data", "StandardScaler")
    # The `passthrough` of a ColumnTransformer. Its `func` cannot be a function: no kind of node makes one.
    | _within("sklearn.preprocessing._function_transformer", "FunctionTransformer")
    | _within("sklearn.preprocessing._label", "LabelBinarizer LabelEncoder")
    | _within("sklearn.impute._base", "SimpleImputer")
)
LINEAR: Final = (
    _within("sklearn.linear_model._logistic", "LogisticRegression")
    | _within("sklearn.linear_model._stochastic_gradient", "SGDClassifier SGDRegressor")
    | _within("sklearn.linear_model._base", "LinearRegression")
    | _within("sklearn.linear_model._ridge", "Ridge")
    | _within("sklearn.linear_model._coordinate_descent", "ElasticNet Lasso")
    | _within("sklearn.linear_model._huber", "HuberRegressor")
    | _within("sklearn.linear_model._bayes", "BayesianRidge")
    | _within("sklearn.linear_model._glm.glm", "GammaRegressor PoissonRegressor TweedieRegressor")
)
BAYES: Final = _within("sklearn.naive_bayes", "GaussianNB")
TREES: Final = (
    _within(
        "sklearn.tree._classes",
        "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
    )
    | _within(
        "sklearn.ensemble._forest",
        "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier RandomForestRegressor",
    )
    | _within("sklearn.ensemble._gb", "GradientBoostingClassifier GradientBoostingRegressor")
)
HISTOGRAM: Final = (
    _within(
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
        "HistGradientBoostingClassifier HistGradientBoostingRegressor",
    )
    | _within("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper")
    # Like Tree, its indices are followed without checks: `trees.py` checks them after loading.
    | _within("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor")
)
NEURAL: Final = _within("sklearn.neural_network._multilayer_perceptron", "MLPClassifier MLPRegressor") | _within(
    "sklearn.neural_network._stochastic_optimizers", "AdamOptimizer SGDOptimizer"
)
CALIBRATION: Final = _within(
    "sklearn.calibration", "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration"
) | _within("sklearn.isotonic", "IsotonicRegression")
BASELINE: Final = _within("sklearn.dummy", "DummyClassifier DummyRegressor")
LOSSES: Final = _within(
    "sklearn._loss.loss",
    "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss HalfPoissonLoss"
    " HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss",
) | _within("sklearn._loss.link", "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit")
COMPILED_LOSSES: Final = _within(
    "sklearn._loss._loss",
    "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss"
    " CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss",
) | _within(
    "sklearn.linear_model._sgd_fast",
    "EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge",
)
NUMBERS: Final = _within("numpy", "bool float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 str_")

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "ObjectNode": PREPROCESSING | LINEAR | BAYES | TREES | HISTOGRAM | NEURAL | CALIBRATION | BASELINE | LOSSES,
    "TreeNode": _within("sklearn.tree._tree", "Tree"),
    "LossNode": COMPILED_LOSSES,
    "NdArrayNode": NUMBERS | {"numpy.ndarray"},
    "DTypeNode": frozenset({"numpy.dtype"}),
    "TypeNode": NUMBERS | _within("builtins", "bool float int str"),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "DictNode": frozenset({"builtins.dict"}),
    "ListNode": frozenset({"builtins.list"}),
    "SetNode": frozenset({"builtins.set"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "JsonNode": frozenset({"builtins.str"}),
}
TRUSTED: Final = sorted(frozenset().union(*ALLOWED.values()))
