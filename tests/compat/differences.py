"""Where aiotune answers otherwise than KerasTuner 1.4.8, on purpose: one table, with reasons."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("TABLE", "Difference")


@dataclass(frozen=True, slots=True)
class Difference:
    """One question that the two answer differently.

    Attributes:
        question: Its name, as in the modules that ask.
        keras_tuner: KerasTuner's answer.
        aiotune: Ours.
        reason: Why ours is better.
    """

    question: str
    keras_tuner: str
    aiotune: str
    reason: str


def because(reason: str, *rows: tuple[str, str, str]) -> tuple[Difference, ...]:
    """Give several differences one reason; a row is a question and the two answers."""
    return tuple(Difference(*row, reason) for row in rows)


# A row is a line, however long.
# fmt: off
TABLE = (
    *because(
        "A range has two ends.",
        ("made: HyperImageAugment(input_shape=(8, 8, 3), augment_layers=[1, 2, 3])", "['accepted', None, True]", "raises ValueError"),
    ),
    *because(
        "KerasTuner looks values up by name alone and goes round in circles.",
        ("grid two_of_one_name", "'does not end: 1 of 50 are different'", "[['a', 1], ['a', 2], ['b', 3], ['b', 4], ['b', 5]]"),
    ),
    *because(
        "The next combination is proposed while the trial before it still runs, so that no slot waits; what that trial discovers comes after it. No combination is missing.",
        ("grid two_children, found in trials", "[[False, 1], [False, 2], [False, 3], [True, 1, 1], [True, 2, 1], [True, 3, 1], [True, 1, 2], [True, 2, 2], [True, 3, 2], [True, 1, 3], [True, 2, 3], [True, 3, 3]]", "[[False, 1], [False, 2], [False, 3], [True, 1, 1], [True, 1, 2], [True, 2, 1], [True, 3, 1], [True, 2, 2], [True, 3, 2], [True, 1, 3], [True, 2, 3], [True, 3, 3]]"),
        ("grid grown_layers, found in trials", "[[1, 16], [1, 32], [2, 16, 16], [2, 16, 32], [2, 32, 16], [2, 32, 32]]", "[[1, 16], [1, 32], [2, 16, 16], [2, 32, 16], [2, 16, 32], [2, 32, 32]]"),
    ),
    *because(
        "An impossible number is refused where it is given; KerasTuner searches nothing, or ends after the first success.",
        ("hyperband: no epochs", "'HyperbandOracle'", "raises ValueError"),
        ("oracle: a limit of no failures", "raises RuntimeError", "raises ValueError"),
        ("oracle: a negative limit of failures", "[['00', 'COMPLETED']]", "raises ValueError"),
        ("oracle: a negative number of retries", "[['00', 'FAILED'], ['01', 'COMPLETED']]", "raises ValueError"),
        ('kt.RandomSearch(lambda hp: hp.Int("x", 1, 3), objective="loss", max_trials=-1)', "'accepted'", "raises ValueError"),
        ('kt.RandomSearch(lambda hp: hp.Int("x", 1, 3), objective="loss", max_trials=0)', "'accepted'", "raises ValueError"),
        ('kt.RandomSearch(lambda hp: hp.Int("x", 1, 3), objective="loss", seed="seven")', "'accepted'", "raises ValueError"),
    ),
    *because(
        "A parent need not be asked for again within a scope in which it is known anyway.",
        ("hp: a scope within a scope, of a parent known outside both", "raises ValueError", "1"),
    ),
    *because(
        "A parent may be conditional itself; what depends on it depends on its conditions as well.",
        ("hp: a scope of a parent known under other conditions", "raises ValueError", "1"),
    ),
    *because(
        "The same mistake, told by a sentence.",
        ("hp: no parent values", "raises IndexError", "raises ValueError"),
    ),
    *because(
        "What can only be a slip is told, in place of searching another space than was meant.",
        ('list(Choice("x", "abc").values)', "['a', 'b', 'c']", "raises TypeError"),
    ),
    *because(
        "One entry a name and condition.",
        ("hp: entries after merging and overwriting", "['x', 'x', 'y']", "['x', 'y']"),
    ),
    *because(
        "The mean of both became worse; KerasTuner compares one value with the mean.",
        ('with m = the metrics of a trial: [m.update("loss", 0.5), m.update("loss", 0.7), m.get_best_value("loss"), m.get_last_value("loss")]', "[True, True, 0.6, 0.6]", "[True, False, 0.6, 0.6]"),
    ),
    *because(
        "What is no number is no improvement.",
        ('with m = the metrics of a trial: [m.update("acc", float("nan")), m.update("acc", 0.7, step=1), m.get_best_value("acc")]', "[True, True, 0.7]", "[False, True, 0.7]"),
    ),
    *because(
        "The oracle's mistake is told by a sentence, which ends the search.",
        ("an oracle of one's own: an unknown status", "raises KeyError", "raises FatalValueError"),
    ),
    *because(
        "More of it is better; KerasTuner searches for the worst model.",
        ("direction('binary_io_u')", "'min'", "'max'"),
        ("direction('concordance_correlation')", "'min'", "'max'"),
        ("direction('cosine_similarity')", "'min'", "'max'"),
        ("direction('f1_score')", "'min'", "'max'"),
        ("direction('f_beta_score')", "'min'", "'max'"),
        ("direction('pearson_correlation')", "'min'", "'max'"),
        ("direction('r2_score')", "'min'", "'max'"),
        ("direction('BinaryIoU')", "'min'", "'max'"),
        ("direction('ConcordanceCorrelation')", "'min'", "'max'"),
        ("direction('CosineSimilarity')", "'min'", "'max'"),
        ("direction('F1Score')", "'min'", "'max'"),
        ("direction('FBetaScore')", "'min'", "'max'"),
        ("direction('PearsonCorrelation')", "'min'", "'max'"),
        ("direction('R2Score')", "'min'", "'max'"),
    ),
    *because(
        "Known by its short name, its numbered name, or after an output's name.",
        ("direction('fbeta_score')", "None", "'max'"),
        ("direction('iou')", "None", "'max'"),
        ("direction('logcosh')", "None", "'min'"),
        ("direction('rmse')", "None", "'min'"),
        ("direction('kld')", "None", "'min'"),
        ("direction('KLD')", "None", "'min'"),
        ("direction('top_5_accuracy')", "None", "'max'"),
        ("direction('auc_1')", "None", "'max'"),
        ("direction('digit_loss')", "None", "'min'"),
        ("direction('digit_accuracy')", "None", "'max'"),
        ("direction('perplexity')", "None", "'min'"),
    ),
    *because(
        "KerasTuner makes an object of the metric without the arguments that it needs.",
        ("direction('io_u')", "raises TypeError", "'max'"),
        ("direction('mean_io_u')", "raises TypeError", "'max'"),
        ("direction('one_hot_io_u')", "raises TypeError", "'max'"),
        ("direction('one_hot_mean_io_u')", "raises TypeError", "'max'"),
        ("direction('precision_at_recall')", "raises TypeError", "'max'"),
        ("direction('recall_at_precision')", "raises TypeError", "'max'"),
        ("direction('sensitivity_at_specificity')", "raises TypeError", "'max'"),
        ("direction('specificity_at_sensitivity')", "raises TypeError", "'max'"),
        ("direction('IoU')", "raises TypeError", "'max'"),
        ("direction('MeanIoU')", "raises TypeError", "'max'"),
        ("direction('PrecisionAtRecall')", "raises TypeError", "'max'"),
    ),
    *because(
        "Of what? A guess could turn a search round.",
        ("direction('mean')", "'min'", "None"),
        ("direction('sum')", "'min'", "None"),
    ),
    *because(
        "A list of one is that one.",
        ('objective=[Objective("a", "max")]', '\'MultiObjective(name="multi_objective", direction="min"): [Objective(name="a", direction="max")]\'', '\'Objective(name="a", direction="max")\''),
    ),
    *because(
        "Nothing could be optimised, so it is refused at once.",
        ("objective=[]", '\'MultiObjective(name="multi_objective", direction="min"): []\'', "raises ValueError"),
        ('objective=Objective("a", "upwards")', '\'Objective(name="a", direction="upwards")\'', "raises ValueError"),
    ),
    *because(
        "A tuple lists as well as a list does.",
        ('objective=("val_loss", "val_accuracy")', "raises TypeError", '\'MultiObjective(name="multi_objective", direction="min"): [Objective(name="val_loss", direction="min"), Objective(name="val_accuracy", direction="max")]\''),
    ),
    *because(
        "Things of other kinds are unequal.",
        ('Objective("a", "min") == "a"', "raises AttributeError", "False"),
        ('with o = [a down, b up]: o == Objective("a", "min")', "raises AttributeError", "False"),
    ),
    *because(
        "A score is a float.",
        ('Objective("a", "min").get_value({"a": 1, "b": 2})', "1", "1.0"),
    ),
    *because(
        "QUEUED says that it waits to be run again.",
        ("oracle: an invalid trial is retried, then completed", "[['0', 'INVALID'], ['0', 'INVALID'], ['0', 'COMPLETED'], ['1', 'COMPLETED']]", "[['0', 'QUEUED'], ['0', 'QUEUED'], ['0', 'COMPLETED'], ['1', 'COMPLETED']]"),
        ("oracle: an invalid trial fails when no retry is left", "[['0', 'INVALID'], ['0', 'FAILED'], ['1', 'COMPLETED']]", "[['0', 'QUEUED'], ['0', 'FAILED'], ['1', 'COMPLETED']]"),
    ),
    *because(
        "Who waited longest goes first.",
        ("oracle: which of two retries comes first", "['01', '00']", "['00', '01']"),
    ),
    *because(
        "A message says what is wrong with a trial, and nothing is any more.",
        ("oracle: the message of a trial that succeeds at last", "'it was INVALID'", "None"),
    ),
    *because(
        "Nobody runs it any more.",
        ("oracle: a trial that the limit of failures ended", "['FAILED', ['w']]", "['FAILED', []]"),
    ),
    *because(
        "A retry's result replaces what was not a number.",
        ("oracle: a score that is not a number, retried", "[['00', 'INVALID'], ['00', 'FAILED']]", "[['00', 'QUEUED'], ['00', 'COMPLETED']]"),
    ),
    *because(
        "Diverged, as much as with NaN.",
        ("oracle: an infinite score", "[['00', 'COMPLETED'], ['01', 'COMPLETED']]", "[['00', 'FAILED'], ['01', 'COMPLETED']]"),
        ('a trial returns float("inf") for None', "[inf, 0, {'default_objective': inf}]", "'FAILED'"),
    ),
    *because(
        "The best trials are trials with a score.",
        ("oracle: more best trials than completed ones", "['02', '00', '01']", "['02', '00']"),
        ("oracle: best trials before any was completed", "['00']", "[]"),
    ),
    *because(
        "What the program passes stays as it is, and may be passed again.",
        ("oracle: the space that was passed grows with the search", "['a', 'b', 'c']", "['a', 'b']"),
    ),
    *because(
        "Values depend on seed, trial and hyperparameter alone, not on the order in which trials end.",
        ("oracle: the values that a seed gives", "[{'a': 0.639426798458, 'b': False, 'c': 'y', 'i': 1}, {'a': 0.888268076452, 'b': False, 'c': 'y', 'i': 4}, {'a': 0.497536568759, 'b': True, 'c': 'z', 'i': 3}]", "[{'a': 0.344464190548, 'b': True, 'c': 'z', 'i': 2}, {'a': 0.526351328167, 'b': True, 'c': 'y', 'i': 3}, {'a': 0.0147966571548, 'b': True, 'c': 'y', 'i': 9}]"),
    ),
    *because(
        "0 is a seed like any other.",
        ("oracle: a seed of 0 is a seed", "False", "True"),
    ),
    *because(
        "The last configurations of a finite space are found too.",
        ("oracle: a random search of thirty configurations", "[28, 28]", "[30, 30]"),
    ),
    *because(
        "An Int has ints.",
        ('Int("x", 2, 32, step=2, sampling="log").values', "[2.0, 4.0, 8.0, 16.0, 32.0]", "[2, 4, 8, 16, 32]"),
        ('Int("x", 3, 100, step=3, sampling="log").values', "[3.0, 9.0, 27.0, 81.0]", "[3, 9, 27, 81]"),
        ('Int("x", 2, 33, step=2, sampling="reverse_log").values', "[33.0, 31.0, 27.0, 19.0, 3.0]", "[33, 31, 27, 19, 3]"),
    ),
    *because(
        "A step is taken as the decimal that it is written as, so the end of the range is reached, and each value has its own place.",
        ('Float("x", 0.0, 1.0, step=0.1).values', "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]", "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]"),
        ('Float("x", 0.0, 1.0, step=0.1).prob_to_value()', "[0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9, 0.9]", "[0.0, 0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 1.0]"),
        ('Float("x", 0.0, 1.0, step=0.1).value_to_prob()', "[0.05, 0.05, 0.15, 0.25, 0.35, 0.45, 0.65, 0.75, 0.85, 0.85]", "[0.0454545454545, 0.0454545454545, 0.136363636364, 0.227272727273, 0.318181818182, 0.5, 0.590909090909, 0.772727272727, 0.863636363636, 0.954545454545]"),
        ('Float("x", 0.0, 1.0, step=0.2).values', "[0.0, 0.2, 0.4, 0.6, 0.8]", "[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]"),
        ('Float("x", 0.0, 1.0, step=0.2).prob_to_value()', "[0.0, 0.0, 0.0, 0.2, 0.2, 0.4, 0.6, 0.6, 0.8, 0.8]", "[0.0, 0.0, 0.0, 0.2, 0.4, 0.6, 0.6, 0.8, 1.0, 1.0]"),
        ('Float("x", 0.0, 1.0, step=0.2).value_to_prob()', "[0.1, 0.1, 0.1, 0.3, 0.3, 0.5, 0.7, 0.7, 0.9, 0.9]", "[0.0833333333333, 0.0833333333333, 0.0833333333333, 0.25, 0.416666666667, 0.583333333333, 0.583333333333, 0.75, 0.916666666667, 0.916666666667]"),
        ('list(Float("x", 0.0, 0.5, step=0.1).values)', "[0.0, 0.1, 0.2, 0.3, 0.4]", "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]"),
        ('list(Float("x", 0.0, 0.6, step=0.1).values)', "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]", "[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]"),
        ('list(Float("x", -1.0, 1.0, step=0.4).values)', "[-1.0, -0.6, -0.2, 0.2, 0.6]", "[-1.0, -0.6, -0.2, 0.2, 0.6, 1.0]"),
        ('Float("x", 0.5, 9.5, step=0.1).value_to_prob(9.4) > Float("x", 0.5, 9.5, step=0.1).value_to_prob(9.3)', "False", "True"),
    ),
    *because(
        "True stays True.",
        ('Choice("x", [True, False]).values', "[1, 0]", "[True, False]"),
        ('Choice("x", [True, False]).default', "1", "True"),
        ('Choice("x", [True, False]).prob_to_value()', "[1, 1, 1, 1, 1, 0, 0, 0, 0, 0]", "[True, True, True, True, True, False, False, False, False, False]"),
        ('Choice("x", [True, False]).get_config() but for the default', "{'conditions': [], 'name': 'x', 'ordered': True, 'values': [1, 0]}", "{'conditions': [], 'name': 'x', 'ordered': False, 'values': [True, False]}"),
    ),
    *because(
        "A value that is listed again counts once.",
        ('Choice("x", [1, 2, 2, 3]).values', "[1, 2, 2, 3]", "[1, 2, 3]"),
        ('Choice("x", [1, 2, 2, 3]).prob_to_value()', "[1, 1, 1, 2, 2, 2, 2, 3, 3, 3]", "[1, 1, 1, 1, 2, 2, 2, 3, 3, 3]"),
        ('Choice("x", [1, 2, 2, 3]).value_to_prob()', "[0.125, 0.125, 0.125, 0.375, 0.375, 0.375, 0.375, 0.875, 0.875, 0.875]", "[0.166666666667, 0.166666666667, 0.166666666667, 0.166666666667, 0.5, 0.5, 0.5, 0.833333333333, 0.833333333333, 0.833333333333]"),
        ('Choice("x", [1, 2, 2, 3]).get_config() but for the default', "{'conditions': [], 'name': 'x', 'ordered': True, 'values': [1, 2, 2, 3]}", "{'conditions': [], 'name': 'x', 'ordered': True, 'values': [1, 2, 3]}"),
    ),
    *because(
        "0.6 is where the fourth fifth begins.",
        ('Int("x", 1, 5).prob_to_value(0.6)', "3", "4"),
    ),
    *because(
        "The default that holds is written down.",
        ('Int("x", 1, 5).get_config()["default"]', "None", "1"),
    ),
    *because(
        "Bounds and step are floats.",
        ('Float("x", 0.1, 100, step=10, sampling="log").get_config()["step"]', "10", "10.0"),
    ),
    *because(
        "Text is no number.",
        ('Int("x", "1", 3)', "raises ValueError", "raises TypeError"),
        ('Float("x", "low", 3)', "raises ValueError", "raises TypeError"),
    ),
    *because(
        "A step that leads nowhere would fail when the first value is drawn.",
        ('Int("x", 1, 3, step=0)', "'accepted'", "raises ValueError"),
        ('Int("x", 1, 3, step=-1)', "'accepted'", "raises ValueError"),
        ('Float("x", 0.0, 1.0, step=0)', "'accepted'", "raises ValueError"),
        ('Float("x", 0.0, 1.0, step=-0.5)', "'accepted'", "raises ValueError"),
    ),
    *because(
        "The first trial would run outside the range.",
        ('Int("x", 1, 3, default=2.5)', "'accepted'", "raises ValueError"),
        ('Int("x", 1, 3, default=9)', "'accepted'", "raises ValueError"),
        ('Float("x", 0, 1, default=2.0)', "'accepted'", "raises ValueError"),
    ),
    *because(
        "Nothing can be drawn from it.",
        ('Float("x", 0, float("inf"))', "'accepted'", "raises ValueError"),
        ('Float("x", 0, float("nan"))', "'accepted'", "raises ValueError"),
    ),
    *because(
        "A Boolean has True and False.",
        ('Boolean("x", default=1).default', "1", "True"),
        ('Boolean("x", default=0).default', "0", "False"),
    ),
    *because(
        "It is a number, or says one, as much as a float does.",
        ("a trial returns np.int64(3) for None", "raises FatalTypeError", "[3.0, 0, {'default_objective': 3.0}]"),
        ("a trial returns np.array(1.5) for None", "raises FatalTypeError", "[1.5, 0, {'default_objective': 1.5}]"),
        ("a trial returns np.array([1.5]) for None", "raises FatalTypeError", "[1.5, 0, {'default_objective': 1.5}]"),
        ("a trial returns (1.0, 2.0) for None", "raises FatalTypeError", "[1.5, 0, {'default_objective': 1.5}]"),
        ("a trial returns history(default_objective=[1.0, 0.5]) for None", "raises FatalTypeError", "[0.5, 1, {'default_objective': 0.5}]"),
    ),
    *because(
        "Each trial of this program would return it, so the search ends at the first one.",
        ("a trial returns [] for None", "'FAILED'", "raises FatalTypeError"),
        ('a trial returns {"default_objective": "1.5"} for None', "[1.5, 0, {'default_objective': 1.5}]", "raises FatalTypeError"),
        ('a trial returns {"val_loss": None} for "val_loss"', "'FAILED'", "raises FatalTypeError"),
        ('a trial returns {"val_loss": [1.0]} for "val_loss"', "'FAILED'", "raises FatalTypeError"),
        ('a trial returns 2.5 for [Objective("a", "min"), Objective("b", "max")]', "'FAILED'", "raises FatalTypeError"),
    ),
    *because(
        "The type may be right, and the metric is missing.",
        ('a trial returns {"loss": 1.5} for None', "raises FatalTypeError", "raises FatalValueError"),
        ("a trial returns {} for None", "raises FatalTypeError", "raises FatalValueError"),
        ("a trial returns history(loss=[1.0, 0.5]) for None", "raises FatalTypeError", "raises FatalValueError"),
    ),
    *because(
        "An epoch that is not a number loses to any that is one.",
        ('a trial returns history(val_loss=[float("nan"), 2.0]) for "val_loss"', "'FAILED'", "[2.0, 1, {'val_loss': 2.0}]"),
    ),
    *because(
        "No other trial would have it either, after a whole training each.",
        ('a trial returns history(loss=[1.0]) for "val_loss"', "'FAILED'", "raises FatalValueError"),
        ('a trial returns history() for "val_loss"', "'FAILED'", "raises FatalValueError"),
    ),
    *because(
        "The members are enough; their sum is no metric of its own.",
        ('a trial returns {"a": 1.0, "b": 3.0} for [Objective("a", "min"), Objective("b", "max")]', "raises FatalValueError", "[-2.0, 0, {'a': 1.0, 'b': 3.0}]"),
        ('a trial returns history(a=[1.0, 2.0], b=[1.0, 5.0]) for [Objective("a", "min"), Objective("b", "max")]', "[-3.0, 1, {'a': 2.0, 'b': 5.0, 'multi_objective': -3.0}]", "[-3.0, 1, {'a': 2.0, 'b': 5.0}]"),
    ),
    *because(
        "What every trial would raise ends the search; here it does not begin.",
        ('kt.RandomSearch(lambda: None, objective="loss", max_trials=1).project_dir', "raises TypeError", "raises FatalTypeError"),
    ),
    *because(
        "What was found, at hand.",
        ("tuner: what search returns", "'NoneType'", "'SearchResult'"),
    ),
    *because(
        "A grid is a function of its trials, so it can be gone on with.",
        ("tuner: a grid goes on with a larger budget", "[2, 2, ['0', '1']]", "[4, 4, ['0', '1', '2', '3']]"),
    ),
)
# fmt: on
