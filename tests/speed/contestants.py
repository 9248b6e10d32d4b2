"""Ways to train M members of a task on the same batches, for the race. Nothing of the last three is Glideslope's."""

import contextlib
import time

import torch

from bench import engine
from bench.contract import InputError, Move
from bench.engine.loader import Loader
from bench.engine.modules import initial_model
from bench.strategies import optimizers


def timed(way, batches):
    """(CPU seconds, wall seconds) of an update of all members."""
    wall, start = time.perf_counter(), time.process_time()
    way.train(batches)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return (time.process_time() - start) / len(batches), (time.perf_counter() - wall) / len(batches)


def rates(task, members):
    """A learning rate for each member, none of which diverges."""
    return [task.peak_lrs[0] / (2 + i) for i in range(members)]


class Crew:
    """An engine of Glideslope."""

    def __init__(self, name, task, members, device="cpu"):
        self.engine = engine.create(name, Loader(task, 0, device), task.optimizer, task.weight_decay)
        self.engine.take([0] * members)
        self.moves = [Move(lr) for lr in rates(task, members)]

    def train(self, batches):
        for step, batch in enumerate(batches):
            self.engine.look(batch, step)
            self.engine.move(self.moves)
        self.engine.history()


class Sequential:
    """A loop with `torch.optim` that trains one model after the other, with nothing around it."""

    def __init__(self, task, members, device):
        self.task, self.models = task, [initial_model(Loader(task, 0, device)) for _ in range(members)]
        optimizer = optimizers.parse(task.optimizer)
        self.optimizers = [optimizer.build(model, task.weight_decay) for model in self.models]
        for stepper, lr in zip(self.optimizers, rates(task, members), strict=True):
            for group in stepper.param_groups:
                group["lr"] = lr

    def train(self, batches):
        for model, optimizer in zip(self.models, self.optimizers, strict=True):
            for inputs, target in batches:
                optimizer.zero_grad()
                loss = self.task.loss(model(*inputs), target)
                loss.backward()
                if self.task.clip is not None:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), self.task.clip)
                optimizer.step()


class Jax:
    """One jitted and vmapped update of `jax.numpy`, for nets of linear layers and SGD with momentum."""

    def __init__(self, task, members):
        import jax
        from jax import numpy as jnp

        layers = [layer for layer in initial_model(Loader(task, 0)) if isinstance(layer, torch.nn.Linear)]
        flat = [(layer.weight.detach().T.numpy(), layer.bias.detach().numpy()) for layer in layers]
        momentum, decay = optimizers.parse(task.optimizer).momentum, task.weight_decay

        def loss(weights, x, y):
            for weight, bias in weights[:-1]:
                x = jax.nn.relu(x @ weight + bias)
            scores = jax.nn.log_softmax(x @ weights[-1][0] + weights[-1][1])
            return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()

        def update(weights, buffers, lr, x, y):
            grads = jax.grad(loss)(weights, x, y)
            buffers = jax.tree.map(lambda b, g, w: momentum * b + g + decay * w, buffers, grads, weights)
            return jax.tree.map(lambda w, b: w - lr * b, weights, buffers), buffers

        self.update = jax.jit(jax.vmap(update, in_axes=(0, 0, 0, None, None)), donate_argnums=(0, 1))
        self.weights = jax.tree.map(lambda w: jnp.stack([jnp.asarray(w)] * members), flat)
        self.buffers = jax.tree.map(jnp.zeros_like, self.weights)
        self.lrs = jnp.asarray(rates(task, members))
        self.wait = jax.block_until_ready

    def train(self, batches):
        for (x,), (y,) in batches:
            state = self.update(self.weights, self.buffers, self.lrs, x.flatten(1).numpy(), y.numpy())
            self.weights, self.buffers = state
        self.wait(self.weights)


def entrants(task, members, device="cpu"):
    """Contestants by name: those that can train this task. The first is the one that others are measured against."""
    auto = engine.choose(task, task.optimizer, members)
    field = {"sequential": Sequential(task, members, device)}
    for name in dict.fromkeys(("modules", auto, "modules" if auto == "modules" else "compiled", "rowwise")):
        try:
            engine.choose(task, task.optimizer, members, wish=name)
            field[name] = Crew(name, task, members, device)
        except InputError:
            continue
    linear = task.layers == "mlp" and task.family == "image" and task.optimizer.startswith("sgd")
    if linear and members > 1 and device == "cpu":
        with contextlib.suppress(ImportError):
            field["jax"] = Jax(task, members)
    return field
