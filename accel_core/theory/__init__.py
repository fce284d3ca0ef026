"""The paper's statements as functions.

layers → preconditioner → warmup, circulation, two_points, limits, orders. Labels such as
``thm-end-to-end`` are those of the book's theory chapters.
"""

from accel_core import lazily
from accel_core.models import end_to_end as end_to_end

_MODULES = {
    "circulation": "adaptive_integral area_integral circle curl gauss_integral half_annulus "
    "half_annulus_constant half_annulus_lower_bound isotropic_potential segment",
    "layers": "Case balanced_case defect descend end_to_end_velocity gradient_flow layer_gradients",
    "limits": "escape_threshold escape_time unbalanced_bound",
    "objectives": "Quadratic Radial Separable",
    "orders": "Order balance_drift descent emulation_gap escape_steps fit_order "
    "predicted_drift robust_order",
    "preconditioning": "adaptive_factor end_to_end_field end_to_end_flow preconditioner "
    "preconditioner_eigensystem project schatten_gradient single_output_field singular_system",
    "two_points": "StableRates TwoPoints crawl iterations monotone_constant monotone_rate "
    "scaling stable_rates trajectory",
    "warmup": "Coefficients coefficients dropped_term factored_step first_order_step "
    "gradient_weights",
}
__all__, __getattr__ = lazily(__name__, _MODULES)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
