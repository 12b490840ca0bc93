"""Arc tangent and exponential of 16 lanes, as polynomials: few machines have numba's SVML."""

from __future__ import annotations

import numpy as np

from apu_losses.geometry.cpu.simd import (
    absolute,
    add,
    copysign,
    div,
    fused,
    maximum,
    minimum,
    mul,
    nearest_int,
    power_of_two,
    splat,
    sub,
    where_less,
)
from apu_losses.numerics.jit import inlined


@inlined
def constant(value):
    return splat(np.float32(value))


@inlined
def arctan2(y, x):
    """Angle of (x, y), absolute error below 4e-7; arctan2(0, 0) is 0 or pi, never NaN.

    Folded to [0, pi/4], then to [-pi/8, pi/8] by tan(a - pi/4) = (t - 1) / (t + 1); polynomial of Cephes
    atanf (Moshier 1989).
    """
    ax = absolute(x)
    ay = absolute(y)
    low = minimum(ax, ay)
    high = maximum(ax, ay)
    knee = mul(high, constant(0.41421357))
    zero = constant(0)
    over = where_less(knee, low, sub(low, high), low)
    under = where_less(knee, low, add(low, high), high)
    angle = where_less(knee, low, constant(0.78539819), zero)
    t = div(over, maximum(under, constant(1e-37)))
    z = mul(t, t)
    p = fused(constant(8.05374449538e-2), z, constant(-1.38776856032e-1))
    p = fused(p, z, constant(1.99777106478e-1))
    p = fused(p, z, constant(-3.33329491539e-1))
    angle = add(angle, fused(mul(p, z), t, t))
    angle = where_less(ax, ay, sub(constant(1.57079633), angle), angle)
    angle = where_less(x, zero, sub(constant(3.14159265), angle), angle)
    return copysign(angle, y)


@inlined
def exponential(x):
    """e ** x for x <= 0, relative error about 1e-7, zero below -60; polynomial of Cephes expf (Moshier 1989).

    Zero rather than tiny: denormal numbers would slow every lane that they meet.
    """
    given = x
    x = maximum(x, constant(-60.0))
    k = nearest_int(mul(x, constant(1.44269504)))
    f = fused(k, constant(-0.693145752), x)
    f = fused(k, constant(-1.42860677e-6), f)
    p = fused(constant(1.3981999507e-3), f, constant(8.3334519073e-3))
    p = fused(p, f, constant(4.1665795894e-2))
    p = fused(p, f, constant(1.6666665459e-1))
    p = fused(p, f, constant(5.0000001201e-1))
    p = fused(mul(p, f), f, add(f, constant(1.0)))
    return where_less(given, constant(-60.0), constant(0), mul(p, power_of_two(k)))
