"""Equivalents in further libraries, read if installed (dependency group `conform`). Terms as in `equivalents`."""

from __future__ import annotations

from bench.conformance.equivalents import Equivalent

BEHIND = "It stands at its lowest LR until the first step: update 0 runs at LR 0."
SKIPPED = f"{BEHIND} The first step goes on to update 1, so the peak is never used."

PYTORCH_OPTIMIZER = (
    Equivalent("linear", "LinearScheduler(o, T, 1.0)", "late", BEHIND),
    Equivalent("cosine", "CosineScheduler(o, T, 1.0)", "late", BEHIND),
    Equivalent(
        "polynomial(power=0.5)",
        "PolyScheduler(o, 0.5, t_max=T, max_lr=1.0)",
        "formula",
        "It is min_lr + (max_lr - min_lr) steps^poly_order: it grows, without bound.",
    ),
    Equivalent("rex", "REXScheduler(o, T)", "few", SKIPPED),
    Equivalent(
        "restarts(every=5, gamma=0.9)",
        "CosineAnnealingWarmupRestarts(o, 5 * E, max_lr=1.0, min_lr=0.0)",
        "few",
        SKIPPED,
    ),
    Equivalent(
        "restarts(every=5, low=0.1, gamma=0.5, rise=0.2)",
        "CosineAnnealingWarmupRestarts(o, 5 * E, max_lr=1.0, min_lr=0.1, warmup_steps=E, gamma=0.5)",
    ),
    Equivalent(
        "restarts(every=1, mult=2)",
        "CosineAnnealingWarmupRestarts(o, E, 2.0, max_lr=1.0, min_lr=0.0, gamma=1.0)",
        "few",
        SKIPPED,
    ),
    Equivalent("wsd", "get_wsd_schedule(o, 0, T * 4 // 5, T // 5, cooldown_type='linear')"),
    Equivalent("wsd(shape='sqrt')", "get_wsd_schedule(o, 0, T * 4 // 5, T // 5)"),
    Equivalent("wsd(shape='cosine')", "get_wsd_schedule(o, 0, T * 4 // 5, T // 5, cooldown_type='cosine')"),
    Equivalent("wsd(shape='power')", "get_wsd_schedule(o, 0, T * 4 // 5, T // 5, cooldown_type='1-square')"),
    Equivalent(
        "floor(wsd, 0.1)",
        "get_wsd_schedule(o, 0, T * 4 // 5, T // 5, 0.1, cooldown_type='linear')",
        "end",
        "The linear and root cooldowns don't aim at min_lr_ratio: they fall to 0, and the LR jumps up to it at t = T.",
    ),
    Equivalent("warmup(wsd, epochs=2, first=0)", "get_wsd_schedule(o, 2 * E, 80, 20, cooldown_type='linear')"),
    Equivalent(
        "scale(chebyshev(levels=7), 20)",
        "get_chebyshev_schedule(o, T)",
        "late",
        "The order begins at epoch 2, after its first rate was used three times; the last two rates never are.",
        total=128,
    ),
)

PYTORCH_SCHEDULER = (
    Equivalent("constant", "IdentityScheduler(o)"),
    Equivalent("linear", "LinearDecayScheduler(o, T)"),
    Equivalent("linear(floor=0.1)", "LinearDecayScheduler(o, T, min_lr=0.1)"),
    Equivalent("warmup(linear, epochs=2, first=0)", "LinearDecayScheduler(o, T, 2 * E)"),
    Equivalent("polynomial(power=2)", "PolynomialScheduler(o, T, 2.0)"),
    Equivalent("floor(polynomial(power=2), 0.1)", "PolynomialScheduler(o, T, 2.0, 0.1)"),
    Equivalent(
        "stages([polynomial(power=2), polynomial(power=2)], [0.5, 0.5])",
        "PolynomialScheduler(o, T // 2, 2.0, cycle=True)",
    ),
    Equivalent("cosine", "CosineWithWarmupScheduler(o, T)"),
    Equivalent("cosine(floor=0.1)", "CosineWithWarmupScheduler(o, T, min_lr=0.1)"),
    Equivalent("warmup(cosine, epochs=2, first=0)", "CosineWithWarmupScheduler(o, T, 2 * E)"),
    Equivalent(
        "warmup(linear, epochs=2, first=0, shape='cosine')",
        "WarmupScheduler(o, LinearDecayScheduler(o, T - 2 * E), 2 * E, 'cosine')",
    ),
    Equivalent(
        "warmup(linear, epochs=2, first=0, shape='exponential')",
        "WarmupScheduler(o, LinearDecayScheduler(o, T - 2 * E), 2 * E, 'exponential')",
        "formula",
        "Its 'exponential' is the square of the share of the warmup that is over.",
    ),
    Equivalent(
        "warmup(linear, epochs=2, first=0, shape='polynomial')",
        "WarmupScheduler(o, LinearDecayScheduler(o, T - 2 * E), 2 * E, 'exponential')",
    ),
    Equivalent("cosine(k=2)", "KDecayScheduler(o, T, 2.0)"),
    Equivalent(
        "restarts(every=5)",
        "CosineAnnealingWarmupRestarts(o, 5 * E, max_lr=1.0, min_lr=0.0)",
        "few",
        "Without warmup steps, the first update of every cycle is at min_lr, and the peak is never used.",
    ),
    Equivalent(
        "restarts(every=5, low=0.1, gamma=0.5, rise=0.2)",
        "CosineAnnealingWarmupRestarts(o, 5 * E, E, 1.0, 0.1, gamma=0.5)",
    ),
    Equivalent("wsd(cooldown=0.3, shape='cosine')", "FlatCosineScheduler(o, T)"),
    Equivalent(
        "warmup(wsd(cooldown=0.8, shape='cosine'), epochs=2, first=0)", "WarmupHoldCosineScheduler(o, T, 2 * E, 20)"
    ),
    Equivalent(
        "onecycle(rise=0.1, div=32, final_div=1, anneal='linear', momentum=False)", "SlantedTriangularScheduler(o, T)"
    ),
    Equivalent("wsd", "TrapezoidalScheduler(o, T, 0, T // 5)"),
    Equivalent("warmup(wsd, epochs=2, first=0)", "TrapezoidalScheduler(o, T, 2 * E, 20)"),
    Equivalent("wsd", "WSDScheduler(o, T, 0, T * 4 // 5, decay_type='linear')"),
    Equivalent("wsd(shape='sqrt')", "WSDScheduler(o, T, 0, T * 4 // 5, decay_type='sqrt')"),
    Equivalent("wsd(shape='cosine')", "WSDScheduler(o, T, 0, T * 4 // 5)"),
    Equivalent("floor(wsd(shape='cosine'), 0.1)", "WSDScheduler(o, T, 0, T * 4 // 5, 0.1)"),
    Equivalent(
        "noam(warmup=2)",
        "InverseSqrtScheduler(o, 2 * E)",
        "late",
        "The paper counts updates from 1; there the first one is number 0, and runs at LR 0.",
    ),
    Equivalent("inverse_time(tau=0.1, power=0.5)", "PowerDecayScheduler(o, T)"),
    Equivalent("warmup(inverse_time(tau=2, power=0.7), epochs=2, first=0)", "PowerDecayScheduler(o, T, 2 * E, 0.7)"),
    Equivalent("rex", "RexScheduler(o, T)"),
    Equivalent("hyperbolic(bound=25)", "HyperbolicLRScheduler(o, T, 25 * E, 0.001)"),
    Equivalent("hyperbolic(bound=25, log=True)", "ExpHyperbolicLRScheduler(o, T, 25 * E, 0.001)"),
    Equivalent(
        "chebyshev(levels=7)",
        "ChebyshevScheduler(o, T)",
        "formula",
        "Its factor is (1 + node) / 2, cosine annealing half an update ahead; the papers' steps are inverses of nodes.",
        total=128,
    ),
    Equivalent("tanh(begin=-3)", "TanhDecayScheduler(o, T)"),
)

OPTAX = (
    Equivalent("constant", "constant_schedule(1.0)"),
    Equivalent("warmup(constant, epochs=2, first=0)", "warmup_constant_schedule(0.0, 1.0, 2 * E)"),
    Equivalent("linear", "linear_schedule(1.0, 0.0, T)"),
    Equivalent("linear(floor=0.1)", "linear_schedule(1.0, 0.1, T)"),
    Equivalent("polynomial(power=2)", "polynomial_schedule(1.0, 0.0, 2, T)"),
    Equivalent("floor(polynomial(power=2), 0.1)", "polynomial_schedule(1.0, 0.1, 2, T)"),
    Equivalent("exponential(gamma=0.9)", "exponential_decay(1.0, E, 0.9)"),
    Equivalent("exponential(gamma=0.7, staircase=True)", "exponential_decay(1.0, E, 0.7, staircase=True)"),
    Equivalent(
        "warmup(exponential(gamma=0.9), epochs=2, first=0)",
        "warmup_exponential_decay_schedule(0.0, 1.0, 2 * E, E, 0.9)",
    ),
    Equivalent("multistep([3, 6], gamma=0.5)", "piecewise_constant_schedule(1.0, {3 * E: 0.5, 6 * E: 0.5})"),
    Equivalent(
        "piecewise([0.25, 0.75], [0.5, 0.1], between='linear')",
        "piecewise_interpolate_schedule('linear', 1.0, {T // 4: 0.5, T * 3 // 4: 0.2})",
    ),
    Equivalent(
        "piecewise([0.25, 0.75], [0.5, 0.1], between='cosine')",
        "piecewise_interpolate_schedule('cosine', 1.0, {T // 4: 0.5, T * 3 // 4: 0.2})",
    ),
    Equivalent("cosine", "cosine_decay_schedule(1.0, T)"),
    Equivalent("cosine(floor=0.1)", "cosine_decay_schedule(1.0, T, 0.1)"),
    Equivalent("cosine(exponent=2)", "cosine_decay_schedule(1.0, T, exponent=2.0)"),
    Equivalent("warmup(cosine, epochs=2, first=0)", "warmup_cosine_decay_schedule(0.0, 1.0, 2 * E, T)"),
    Equivalent(
        "stages([warmup(cosine, epochs=1, first=0), warmup(cosine, epochs=1, first=0)], [0.5, 0.5])",
        "sgdr_schedule([dict(init_value=0.0, peak_value=1.0, warmup_steps=E, decay_steps=T // 2)] * 2)",
    ),
    Equivalent("onecycle", "cosine_onecycle_schedule(T, 1.0)"),
    Equivalent(
        "onecycle(anneal='linear')",
        "linear_onecycle_schedule(T, 1.0)",
        "formula",
        "It has a third phase: back at 1/div by 85 % of the budget (pct_final), then down to the end.",
    ),
    Equivalent(
        "stages([constant, linear], [0.25, 0.75])",
        "join_schedules([constant_schedule(1.0), linear_schedule(1.0, 0.0, T * 3 // 4)], [T // 4])",
    ),
)

KERAS = (
    Equivalent("exponential(gamma=0.9)", "ExponentialDecay(1.0, E, 0.9)"),
    Equivalent("exponential(gamma=0.7, staircase=True)", "ExponentialDecay(1.0, E, 0.7, staircase=True)"),
    Equivalent(
        "multistep([3, 6], gamma=0.5)",
        "PiecewiseConstantDecay([3 * E, 6 * E], [1.0, 0.5, 0.25])",
        "late",
        "The update of a boundary still has the value before it.",
    ),
    Equivalent("linear", "PolynomialDecay(1.0, T, 0.0)"),
    Equivalent("polynomial(power=2)", "PolynomialDecay(1.0, T, 0.0, 2.0)"),
    Equivalent(
        "linear",
        "PolynomialDecay(1.0, T)",
        "end",
        "Its end_learning_rate is 0.0001 by default, an LR and not a share of the first.",
    ),
    Equivalent(
        "stages([linear, linear], [0.5, 0.5], scales=[1, 0.5])",
        "PolynomialDecay(1.0, T // 2, 0.0, cycle=True)",
        "few",
        "The update of a restart itself is at the end of the cycle before.",
    ),
    Equivalent("inverse_time(tau=2)", "InverseTimeDecay(1.0, E, 0.5)"),
    Equivalent("inverse_time(staircase=True)", "InverseTimeDecay(1.0, E, 1.0, staircase=True)"),
    Equivalent("cosine", "CosineDecay(1.0, T)"),
    Equivalent("cosine(floor=0.1)", "CosineDecay(1.0, T, 0.1)"),
    Equivalent(
        "warmup(cosine, epochs=2, first=0)", "CosineDecay(0.0, T - 2 * E, warmup_target=1.0, warmup_steps=2 * E)"
    ),
    Equivalent("restarts(every=5)", "CosineDecayRestarts(1.0, 5 * E, 1.0)"),
    Equivalent("restarts(every=1, mult=2, gamma=0.7)", "CosineDecayRestarts(1.0, E, 2.0, 0.7)"),
)
