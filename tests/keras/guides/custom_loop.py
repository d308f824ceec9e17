"""TensorFlow only: a training loop of one's own over tf.data with hooks; a distribution strategy."""

import asyncio

import aiotune
import keras
import tensorflow as tf


def data(examples, seed):
    """Return a function that makes a dataset: a dataset itself belongs to one process."""

    def make():
        x = tf.random.stateless_uniform((examples, 4), seed=(seed, 0))
        y = tf.reduce_sum(x, axis=1, keepdims=True)
        return tf.data.Dataset.from_tensor_slices((x, y)).batch(16)

    return make


class MyTuner(aiotune.BayesianOptimization):
    def run_trial(self, trial, train, validation, epochs=1):
        hp = trial.hyperparameters
        model = self.hypermodel.build(hp)
        optimizer = keras.optimizers.SGD(hp.Float("lr", 1e-3, 1e-1, sampling="log", default=1e-2))
        loss_fn = keras.losses.MeanSquaredError()
        tracked = keras.metrics.Mean()

        @tf.function
        def step(x, y):
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))

        best = float("inf")
        for epoch in range(epochs):
            self.on_epoch_begin(trial, model, epoch, logs={})
            for batch, (x, y) in enumerate(train()):
                self.on_batch_begin(trial, model, batch, logs={})
                step(x, y)
                self.on_batch_end(trial, model, batch, logs={})
            tracked.reset_state()
            for x, y in validation():
                tracked.update_state(loss_fn(y, model(x)))
            loss = float(tracked.result())
            self.on_epoch_end(trial, model, epoch, logs={"val_loss": loss})
            if loss < best:
                best = loss
                self.save_model(trial.trial_id, model, step=epoch)
        return best

    def on_epoch_end(self, trial, model, epoch, logs=None):
        print(f"trial {trial.trial_id} epoch {epoch} {logs['val_loss']:.4f}")


def build_model(hp):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(hidden))


tuner = MyTuner(build_model, max_trials=3, seed=1, project_name="custom_loop")
asyncio.run(tuner.search(data(64, seed=1), data(32, seed=2), epochs=2))
tuner.results_summary()
model = tuner.get_best_models()[0]
inputs, targets = next(iter(data(32, seed=2)()))
score = tuner.oracle.get_best_trials()[0].score
print("the kept model's error:", float(keras.losses.MeanSquaredError()(targets, model(inputs))) < 2 * score)


def build_compiled(hp):
    print("in a strategy:", tf.distribute.has_strategy())
    model = build_model(hp)
    model.compile(optimizer="sgd", loss="mse")
    return model


tuner = aiotune.RandomSearch(
    build_compiled,
    objective="loss",
    max_trials=1,
    distribution_strategy=lambda: tf.distribute.MirroredStrategy(["/cpu:0"]),
    project_name="distribute",
)
asyncio.run(tuner.search(data(32, seed=1), epochs=2))
tuner.results_summary()
