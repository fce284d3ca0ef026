"""Deep linear networks, trained full-batch: many at once, each exactly as its specification says.

Everything a user needs is importable from here; a name's module is loaded when the name is first
used, so that `import accel_core` costs nothing. The paper's statements are in `accel_core.theory`,
the convolutional network in `accel_core.convolutional`.

>>> from accel_core import Problem, Run, train
>>> result = train(Problem([[1.0], [2.0]], [1.0, 2.0]), Run(depth=2, rate=0.01), 5_000)
>>> result.status, round(float(result.end_to_end[-1, 0, 0]), 6)
('completed', 1.0)
"""

from importlib import import_module


def lazily(package: str, modules: dict[str, str]):
    """(`__all__`, `__getattr__`) of a package whose public `modules` (name → names in it) are
    loaded when a name of theirs is first used."""
    where = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str):
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{where[name]}"), name)
        vars(import_module(package))[name] = value
        return value

    return sorted(where), get


_MODULES = {
    "datasets": "Dataset DataUnavailable NAMES load standardize",
    "problem": "Moments Problem",
    "optimum": "NearlyCollinear Optimum",
    "models": "Architecture balancedness end_to_end imbalance",
    "engine.autograd": "LinearNetwork",
    "initializers": "Balanced EndToEndOf IdentityOffset Initializer NearZero SemiOrthogonal "
    "TorchDefault factor_balanced",
    "rules": "AdaDelta AdaGrad Adam EndToEnd GradientDescent Momentum UpdateRule",
    "schedules": "Constant Schedule Sharpness WarmUp",
    "training": "Batch Result Run record_points train",
    "curves": "arrival distance_at iterations_to",
    "statistics": "gain_at_budget run_table speedup tune",
    "intervals": "Estimate median_interval",
    "sharpness": "single_layer_sharpness",
}
__all__, __getattr__ = lazily(__name__, _MODULES)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
