"""Questions about objectives: directions by name, forms of the argument, comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()

# Everything that keras.metrics and keras.losses export, in the form in which a
# compiled model names it, then the short forms, then what Keras makes of them.
METRICS = """
auc accuracy binary_accuracy binary_crossentropy binary_io_u categorical_accuracy
categorical_crossentropy categorical_hinge concordance_correlation cosine_similarity f1_score
f_beta_score fbeta_score false_negatives false_positives hinge io_u iou kl_divergence kldivergence log_cosh_error logcosh
mean mean_absolute_error mean_absolute_percentage_error mean_io_u mean_squared_error
mean_squared_logarithmic_error one_hot_io_u one_hot_mean_io_u pearson_correlation poisson
precision precision_at_recall r2_score recall recall_at_precision root_mean_squared_error
sensitivity_at_specificity sparse_categorical_accuracy sparse_categorical_crossentropy
sparse_top_k_categorical_accuracy specificity_at_sensitivity squared_hinge sum
top_k_categorical_accuracy true_negatives true_positives
binary_focal_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy
circle ctc dice huber log_cosh tversky
acc mse MSE mae MAE mape MAPE msle MSLE rmse kld KLD bce BCE ce crossentropy loss
top_5_accuracy auc_1 digit_loss digit_accuracy perplexity quality
""".split()

CLASSES = """
AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation
CosineSimilarity F1Score FBetaScore FalsePositives IoU MeanIoU MeanSquaredError
PearsonCorrelation Precision PrecisionAtRecall R2Score Recall RootMeanSquaredError
SparseTopKCategoricalAccuracy TopKCategoricalAccuracy TrueNegatives Huber LogCosh Dice Tversky
""".split()

PREFIXED = ("val_loss", "val_accuracy", "weighted_acc", "val_weighted_acc", "val_weighted_mse")


def _direction(name: str) -> None:
    question(f"direction({name!r})")(lambda product: product.infer_metric_direction(name))


for _name in (*METRICS, *CLASSES, *PREFIXED):
    _direction(_name)

OBJECTIVES = """
None
"val_loss"
"val_accuracy"
"quality"
Objective("quality", "max")
[Objective("a", "max"), "val_loss"]
["val_loss", "val_accuracy"]
[Objective("a", "max")]
[]
3
{"a": "max"}
("val_loss", "val_accuracy")
Objective("a", "upwards")
""".strip().splitlines()

COMPARISONS = """
Objective("a", "min").better_than(1, 2)
Objective("a", "min").better_than(1, 1)
Objective("a", "max").better_than(1, 2)
Objective("a", "max").better_than(2, 1)
Objective("a", "min") == Objective("a", "min")
Objective("a", "min") == Objective("a", "max")
Objective("a", "min") == "a"
Objective("a", "min").has_value({"a": 1})
Objective("a", "min").has_value({"b": 1})
Objective("a", "min").get_value({"a": 1, "b": 2})
hash(Objective("a", "min"))
str(Objective("a", "min"))
""".strip().splitlines()

MULTI = """
[o.name, o.direction]
o.has_value({"a": 1.0, "b": 2.0})
o.has_value({"a": 1.0})
o.get_value({"a": 1.0, "b": 5.0, "c": 9.0})
o.better_than(1.0, 2.0)
o == oracles.RandomSearchOracle(objective=[Objective("b", "max"), Objective("a", "min")]).objective
o == Objective("a", "min")
""".strip().splitlines()


def _argument(expression: str) -> None:
    @question(f"objective={expression}")
    def _(product: Product) -> Any:
        objective = eval(expression, product.names())
        return str(product.oracles.RandomSearchOracle(objective=objective).objective)


def _comparison(expression: str) -> None:
    @question(expression)
    def _(product: Product) -> Any:
        return eval(expression, product.names())


def _of_two(expression: str) -> None:
    @question(f"with o = [a down, b up]: {expression}")
    def _(product: Product) -> Any:
        known = product.names()
        both = [known["Objective"]("a", "min"), known["Objective"]("b", "max")]
        known["o"] = product.oracles.RandomSearchOracle(objective=both).objective
        return eval(expression, known)


for _expression in OBJECTIVES:
    _argument(_expression)
for _expression in COMPARISONS:
    _comparison(_expression)
for _expression in MULTI:
    _of_two(_expression)
