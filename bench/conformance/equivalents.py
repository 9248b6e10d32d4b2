"""Equivalents of our schedules in the libraries that the project requires: calls, as texts.

In a call, `o` is an optimizer at LR 1 (so that an LR is a factor), T the number of updates and E that of an epoch; all
other names are the library's. Settings that are the user's choice are chosen to agree. A deviation is explained next to
the call, for one kind of verdict; with another verdict, it is unexplained.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.conformance.agreement import Kind

T, E = 120, 10


class Equivalent(NamedTuple):
    """A library's call that claims to be one of our schedules."""

    schedule: str
    call: str
    expected: Kind = "equal"  # the expected verdict ...
    why: str = ""  # ... and its explanation; empty if equal
    total: int = T  # updates
    every: int = 1  # updates between two steps of the library's scheduler: E if it is stepped once per epoch


TORCH = (
    Equivalent("constant", "LambdaLR(o, lambda t: 1.0)"),
    Equivalent(
        "constant",
        "ConstantLR(o)",
        "few",
        "Its defaults are factor=1/3 and total_iters=5: by that name it is a warmup of five steps.",
    ),
    Equivalent("scale(constant, 0.5)", "ConstantLR(o, 0.5, T + 1)"),
    Equivalent("exponential(gamma=0.9)", "ExponentialLR(o, 0.9 ** (1 / E))"),
    Equivalent("exponential(gamma=0.7, staircase=True)", "ExponentialLR(o, 0.7)", every=E),
    Equivalent("step(every=3, gamma=0.5)", "StepLR(o, 3 * E, 0.5)"),
    Equivalent("multistep([3, 6, 6], gamma=0.5)", "MultiStepLR(o, [3 * E, 6 * E, 6 * E], 0.5)"),
    Equivalent("polynomial", "PolynomialLR(o, T, 1.0)"),
    Equivalent("polynomial(power=0.9)", "PolynomialLR(o, T, 0.9)"),
    Equivalent("polynomial(power=2)", "PolynomialLR(o, T, 2.0)"),
    Equivalent("linear", "LinearLR(o, 1.0, 0.0, T)"),
    Equivalent("linear(floor=0.1)", "LinearLR(o, 1.0, 0.1, T)"),
    Equivalent("cosine", "CosineAnnealingLR(o, T)"),
    Equivalent("cosine(floor=0.1)", "CosineAnnealingLR(o, T, 0.1)"),
    Equivalent("restarts(every=5)", "CosineAnnealingWarmRestarts(o, 5 * E)"),
    Equivalent("restarts(every=1, mult=2, low=0.1)", "CosineAnnealingWarmRestarts(o, E, 2, 0.1)"),
    Equivalent("restarts(every=0.7, mult=3)", "CosineAnnealingWarmRestarts(o, 7, 3)"),
    Equivalent("cyclic", "CyclicLR(o, 0.1, 1.0, 2 * E, cycle_momentum=False)"),
    Equivalent(
        "cyclic(gamma=0.5)",
        "CyclicLR(o, 0.1, 1.0, 2 * E, mode='triangular2', cycle_momentum=False)",
    ),
    Equivalent(
        "cyclic(every=5, rise=0.2, low=0.25, rate=0.9)",
        "CyclicLR(o, 0.25, 1.0, E, 4 * E, mode='exp_range', gamma=0.9 ** (1 / E), cycle_momentum=False)",
    ),
    Equivalent(
        "onecycle",
        "OneCycleLR(o, 1.0, total_steps=T)",
        "formula",
        "It rises until update pct T - 1 and falls until T - 1, the last one; ours are at progress `rise` and 1. After "
        "the peak it is one update ahead.",
    ),
    Equivalent("onecycle", "OneCycleLR(o, 1.0, total_steps=T + 1, pct_start=(0.3 * T + 1) / (T + 1))"),
    Equivalent(
        "onecycle(rise=0.25, div=10, final_div=100)",
        "OneCycleLR(o, 1.0, total_steps=T + 1, pct_start=(0.25 * T + 1) / (T + 1), div_factor=10, "
        "final_div_factor=100)",
    ),
    Equivalent(
        "onecycle(anneal='linear')",
        "OneCycleLR(o, 1.0, total_steps=T + 1, pct_start=(0.3 * T + 1) / (T + 1), anneal_strategy='linear')",
    ),
    Equivalent("piecewise([0.25], [0.05], between='cosine')", "SWALR(o, 0.05, T // 4, 'cos')"),
    Equivalent("piecewise([0.25], [0.05], between='linear')", "SWALR(o, 0.05, T // 4, 'linear')"),
    Equivalent("inverse_sqrt(tau=2)", "LambdaLR(o, lambda t: (1 + t / E / 2) ** -0.5)"),
    Equivalent("rex", "LambdaLR(o, lambda t: (1 - t / T) / (0.5 + 0.5 * (1 - t / T)))"),
    Equivalent("warmup(constant, epochs=2, first=0.25)", "LinearLR(o, 0.25, 1.0, 2 * E)"),
    Equivalent(
        "warmup(cosine, epochs=2, first=0.25)",
        "SequentialLR(o, [LinearLR(o, 0.25, 1.0, 2 * E), CosineAnnealingLR(o, T - 2 * E)], [2 * E])",
    ),
    Equivalent(
        "stages([constant, linear(floor=0.1)], [0.25, 0.75])",
        "SequentialLR(o, [LambdaLR(o, lambda t: 1.0), LinearLR(o, 1.0, 0.1, T * 3 // 4)], [T // 4])",
    ),
    Equivalent(
        "chain([exponential(gamma=0.9), step(every=3, gamma=0.5)])",
        "ChainedScheduler([ExponentialLR(o, 0.9 ** (1 / E)), StepLR(o, 3 * E, 0.5)])",
    ),
)

TRANSFORMERS = (
    Equivalent("constant", "get_constant_schedule(o)"),
    Equivalent("warmup(constant, epochs=2, first=0)", "get_constant_schedule_with_warmup(o, 2 * E)"),
    Equivalent("linear", "get_linear_schedule_with_warmup(o, 0, T)"),
    Equivalent("warmup(linear, epochs=2, first=0)", "get_linear_schedule_with_warmup(o, 2 * E, T)"),
    Equivalent("cosine", "get_cosine_schedule_with_warmup(o, 0, T)"),
    Equivalent("warmup(cosine, fraction=0.1, first=0)", "get_cosine_schedule_with_warmup(o, T // 10, T)"),
    Equivalent("cosine(floor=0.1)", "get_cosine_with_min_lr_schedule_with_warmup(o, 0, T, min_lr_rate=0.1)"),
    Equivalent(
        "cosine(floor=0.1)",
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate(o, 0, T, min_lr_rate=0.1)",
        "early",
        "It aims at the last update, T - 1, and skips the peak: its decay begins an update early.",
    ),
    Equivalent(
        "cyclic(every=8, shape='cosine', low=0, begin='top')",
        "get_cosine_schedule_with_warmup(o, 0, T, num_cycles=1.5)",
    ),
    Equivalent("polynomial(power=2)", "get_polynomial_decay_schedule_with_warmup(o, 0, T, lr_end=0.0, power=2.0)"),
    Equivalent("floor(polynomial(power=2), 0.1)", "get_polynomial_decay_schedule_with_warmup(o, 0, T, 0.1, 2.0)"),
    Equivalent(
        "stages([cosine, cosine, cosine, cosine], [0.25, 0.25, 0.25, 0.25])",
        "get_cosine_with_hard_restarts_schedule_with_warmup(o, 0, T, num_cycles=4)",
    ),
    Equivalent(
        "warmup(restarts(every=5), epochs=2, first=0)",
        "get_cosine_with_hard_restarts_schedule_with_warmup(o, 2 * E, T, num_cycles=2)",
    ),
    Equivalent("inverse_sqrt(tau=3)", "get_inverse_sqrt_schedule(o, 0, timescale=3 * E)"),
    Equivalent("warmup(inverse_sqrt(tau=2), epochs=2, first=0)", "get_inverse_sqrt_schedule(o, 2 * E)"),
    Equivalent(
        "noam(warmup=2)",
        "get_inverse_sqrt_schedule(o, 2 * E)",
        "late",
        "The paper counts updates from 1; there the first one is number 0, and runs at LR 0.",
    ),
    Equivalent("wsd", "get_wsd_schedule(o, 0, T // 5, T, decay_type='linear')"),
    Equivalent("wsd(shape='sqrt')", "get_wsd_schedule(o, 0, T // 5, T, decay_type='1-sqrt')"),
    Equivalent("wsd(shape='cosine')", "get_wsd_schedule(o, 0, T // 5, T, decay_type='cosine')"),
    Equivalent(
        "floor(wsd(shape='sqrt'), 0.1)",
        "get_wsd_schedule(o, 0, T // 5, T, decay_type='1-sqrt', min_lr_ratio=0.1)",
    ),
    Equivalent("floor(wsd(shape='cosine'), 0.1)", "get_wsd_schedule(o, 0, T // 5, T, min_lr_ratio=0.1)"),
    Equivalent(  # its cooldown is a number of updates; ours is a share of the updates after the warmup, 0.2 of 100
        "warmup(wsd, epochs=2, first=0)", "get_wsd_schedule(o, 2 * E, 20, T, decay_type='linear')"
    ),
    Equivalent(
        "warmup(wsd, epochs=2, first=0, shape='sqrt')",
        "get_wsd_schedule(o, 2 * E, 20, T, warmup_type='1-sqrt', decay_type='linear')",
    ),
    Equivalent(
        "warmup(floor(wsd, 0.1), epochs=2, first=0.1, shape='cosine')",
        "get_wsd_schedule(o, 2 * E, 20, T, warmup_type='cosine', decay_type='linear', min_lr_ratio=0.1)",
    ),
)

TIMM = (
    Equivalent("cosine", "CosineLRScheduler(o, T, t_in_epochs=False)"),
    Equivalent("cosine(floor=0.1)", "CosineLRScheduler(o, T, lr_min=0.1, t_in_epochs=False)"),
    Equivalent("cosine(floor=0.1, k=2)", "CosineLRScheduler(o, T, lr_min=0.1, k_decay=2.0, t_in_epochs=False)"),
    Equivalent(
        "warmup(cosine, epochs=2, first=0.2)",
        "CosineLRScheduler(o, T - 2 * E, warmup_t=2 * E, warmup_lr_init=0.2, warmup_prefix=True, t_in_epochs=False)",
    ),
    Equivalent(
        "warmup(cosine, epochs=2, first=0.2)",
        "CosineLRScheduler(o, T - 2 * E, warmup_t=2 * E, warmup_lr_init=0.2, t_in_epochs=False)",
        "formula",
        "Without warmup_prefix the decay counts from update 0: at the end of the warmup the LR jumps to where the "
        "cosine already is, and the cosine is over before the budget.",
    ),
    Equivalent(
        "restarts(every=4, low=0.1, gamma=0.5)",
        "CosineLRScheduler(o, 4 * E, lr_min=0.1, cycle_decay=0.5, cycle_limit=9, t_in_epochs=False)",
    ),
    Equivalent(
        "restarts(every=1, mult=2, gamma=0.7)",
        "CosineLRScheduler(o, E, cycle_mul=2.0, cycle_decay=0.7, cycle_limit=9, t_in_epochs=False)",
    ),
    Equivalent(
        "multistep([3, 6], gamma=0.5)", "MultiStepLRScheduler(o, [3 * E + 1, 6 * E + 1], 0.5, t_in_epochs=False)"
    ),
    Equivalent(
        "multistep([3, 6], gamma=0.5)",
        "MultiStepLRScheduler(o, [3 * E, 6 * E], 0.5, t_in_epochs=False)",
        "early",
        "A milestone m applies to update m - 1.",
    ),
    Equivalent("step(every=3, gamma=0.5)", "StepLRScheduler(o, 3 * E, 0.5, t_in_epochs=False)"),
    Equivalent("tanh", "TanhLRScheduler(o, T, t_in_epochs=False)"),
    Equivalent(
        "floor(tanh(begin=-4, end=4), 0.1)", "TanhLRScheduler(o, T, lb=-4.0, ub=4.0, lr_min=0.1, t_in_epochs=False)"
    ),
    Equivalent("polynomial(power=0.5)", "PolyLRScheduler(o, T, power=0.5, t_in_epochs=False)"),
    Equivalent("polynomial(power=0.5, k=2)", "PolyLRScheduler(o, T, power=0.5, k_decay=2.0, t_in_epochs=False)"),
    Equivalent("wsd", "WSDLRScheduler(o, T, T // 5, decay_fn='linear', t_in_epochs=False)"),
    Equivalent("wsd(cooldown=0.35, shape='sqrt')", "WSDLRScheduler(o, T, T * 35 // 100, t_in_epochs=False)"),
    Equivalent("wsd(shape='cosine')", "WSDLRScheduler(o, T, T // 5, decay_fn='cosine', t_in_epochs=False)"),
    Equivalent(
        "wsd(shape='power', power=3)",
        "WSDLRScheduler(o, T, T // 5, decay_fn='power', decay_power=3.0, t_in_epochs=False)",
    ),
    Equivalent(
        "wsd(shape='exp', ratio=0.01)",
        "WSDLRScheduler(o, T, T // 5, decay_fn='exp', decay_ratio=0.01, t_in_epochs=False)",
    ),
    Equivalent(
        "floor(wsd(shape='exp'), 0.2)", "WSDLRScheduler(o, T, T // 5, lr_min=0.2, decay_fn='exp', t_in_epochs=False)"
    ),
    Equivalent(
        "cooldown(inverse_sqrt(tau=2), shape='sqrt')",
        "WSDLRScheduler(o, T, T // 5, stable_fn='rsqrt', stable_timescale=2 * E, t_in_epochs=False)",
    ),
    Equivalent(
        "warmup(cooldown(inverse_time(tau=2, power=0.7), fraction=0.5), epochs=2, first=0)",
        "WSDLRScheduler(o, T - 2 * E, T // 2 - E, stable_fn='power', stable_power=0.7, decay_fn='linear', "
        "warmup_t=2 * E, t_in_epochs=False)",
    ),
)
