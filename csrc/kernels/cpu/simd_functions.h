// Further elementary functions over Vec<float> and Vec<double>, made of those of simd_math.h; "ulp" as explained there. The
// functions that statistics need now and then (erfc, erfinv, lgamma, digamma) go lane by lane: through C's library, or
// through double precision here.
#pragma once
#include <cmath>

#include "kernels/cpu/simd_math.h"

namespace tg::TG_ISA {

// Range: all. 3.5 ulp, 4.6 ulp.
template <class T> TG_INLINE Vec<T> tan(Vec<T> x) { return select(x == Vec<T>(T(0)), x, sin(x) / cos(x)); }

// The angle of the point (sqrt(1 - x^2), x). NaN outside [-1, 1]. 3 ulp, 3 ulp.
template <class T> TG_INLINE Vec<T> asin(Vec<T> x) {
  const Vec<T> one(T(1));
  return atan2(x, sqrt((one - x) * (one + x)));
}
// The angle of the point (x, sqrt(1 - x^2)). NaN outside [-1, 1]. 3 ulp, 3 ulp.
template <class T> TG_INLINE Vec<T> acos(Vec<T> x) {
  const Vec<T> one(T(1));
  return atan2(sqrt((one - x) * (one + x)), x);
}
// Range: all. 2.2 ulp, 2.3 ulp.
template <class T> TG_INLINE Vec<T> atan(Vec<T> x) { return atan2(x, Vec<T>(T(1))); }

// From here on e^a overflows although half of it is a number.
template <class T> TG_INLINE Vec<T> hyperbolic_limit() { return Vec<T>(is_float<T> ? T(80) : T(700)); }

// (m + m / (m + 1)) / 2 with m = e^|x| - 1. Range: all. 3 ulp, 3.5 ulp.
template <class T> TG_INLINE Vec<T> sinh(Vec<T> x) {
  const Vec<T> half(T(0.5)), a = abs(x), m = expm1(a), root = exp(half * a);
  const Vec<T> y = half * (m + m / (m + Vec<T>(T(1))));
  return copysign(select(a > hyperbolic_limit<T>(), half * root * root, y), x);
}
// (e^|x| + e^-|x|) / 2. Range: all. 3 ulp, 3 ulp.
template <class T> TG_INLINE Vec<T> cosh(Vec<T> x) {
  const Vec<T> half(T(0.5)), a = abs(x), e = exp(a), root = exp(half * a);
  return select(a > hyperbolic_limit<T>(), half * root * root, half * e + half / e);
}

// Where x^2 + 1 = x^2 to within rounding, the inverses are log(2x).
template <class T> TG_INLINE Vec<T> log_of_twice(Vec<T> x) { return log(x) + Vec<T>(T(0.69314718055994530942)); }

// log(x + sqrt(x^2 + 1)). Range: all. 3 ulp, 3 ulp.
template <class T> TG_INLINE Vec<T> asinh(Vec<T> x) {
  const Vec<T> one(T(1)), a = abs(x), square = a * a;
  const Vec<T> y = log1p(a + square / (one + sqrt(one + square)));
  return copysign(select(a > Vec<T>(T(1e9)), log_of_twice(a), y), x);
}
// log(x + sqrt(x^2 - 1)), NaN below 1. 3 ulp, 3 ulp.
template <class T> TG_INLINE Vec<T> acosh(Vec<T> x) {
  const Vec<T> one(T(1)), t = x - one;
  const Vec<T> y = log1p(t + sqrt(t * (t + Vec<T>(T(2)))));
  return select(x < one, Vec<T>(T(__builtin_nan(""))), select(x > Vec<T>(T(1e9)), log_of_twice(x), y));
}
// log((1 + x) / (1 - x)) / 2, NaN outside [-1, 1]. 3 ulp, 3 ulp.
template <class T> TG_INLINE Vec<T> atanh(Vec<T> x) {
  const Vec<T> a = abs(x);
  return copysign(Vec<T>(T(0.5)) * log1p((a + a) / (Vec<T>(T(1)) - a)), x);
}

// 2^x = 2^n e^((x - n) ln 2). Range: all. 1.6 ulp, 1.6 ulp.
template <class T> TG_INLINE Vec<T> exp2(Vec<T> x) {
  const T low = is_float<T> ? T(-150) : T(-1076), high = is_float<T> ? T(129) : T(1025);
  x = min_or_second(Vec<T>(high), max_or_second(Vec<T>(low), x));
  const Vec<T> n = nearest_integer(x);
  const ExpParts<T> e = exp_parts((x - n) * Vec<T>(T(0.69314718055994530942)));
  return scale(Vec<T>(T(1)) + e.expm1_r, n + e.n);
}

// e log10(2) + log(1 + f) / log(10), the large term with a factor of so few bits that it is exact. 2 ulp, 2 ulp.
template <class T> TG_INLINE Vec<T> log10(Vec<T> x) {
  const T two_high = is_float<T> ? T(0x1.344p-2) : T(0x1.34413509p-2);
  const T two_low = T(0.30102999566398119521373889472449L - (long double)two_high);
  const LogParts<T> l = log_parts(x);
  const Vec<T> natural = l.f - log_rest(l.f, Vec<T>(T(0)));
  const Vec<T> y = fma(natural, Vec<T>(T(0.43429448190325182765)), l.e * Vec<T>(two_low));
  return log_edges(x, fma(l.e, Vec<T>(two_high), y));
}

// The digamma function: the derivative of lgamma. Up to 10 by psi(x) = psi(x + 1) - 1/x, from there on the asymptotic
// series; below 0 by reflection. NaN at the poles but -infinity at +0 (infinity at -0), as in PyTorch.
TG_INLINE double digamma_of(double x) {
  if (x == 0) return __builtin_copysign(__builtin_inf(), -x);
  double shift = 0;
  if (x < 0) {
    if (__builtin_floor(x) == x) return __builtin_nan("");
    const double fraction = x - __builtin_trunc(x);
    shift = -3.14159265358979323846 / ::tan(3.14159265358979323846 * fraction);
    x = 1 - x;
  }
  for (; x < 10; x += 1) shift -= 1 / x;
  const double z = 1 / (x * x);
  const double series =
      z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return shift + ::log(x) - 0.5 / x - series;
}
// The logarithm of |gamma(x)|. lgamma_r: C's lgamma writes to a global variable.
TG_INLINE double lgamma_of(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}
// The inverse of erf: a first guess from the normal tail, then Halley steps, each of which triples the number of digits.
TG_INLINE double erfinv_of(double y) {
  const double a = y < 0 ? -y : y;
  if (!(a < 1)) return a == 1 ? __builtin_copysign(__builtin_inf(), y) : __builtin_nan("");
  const double l = ::log((1 - a) * (1 + a)), c = 4.330746750799873 + 0.5 * l;  // 2 / (0.147 pi), Winitzki's formula
  double x = ::sqrt(::sqrt(c * c - l * 6.802721088435374) - c);                // 1 / 0.147
  for (int i = 0; i < 3; ++i) {
    const double error = (a < 0.5 ? ::erf(x) - a : (1 - a) - ::erfc(x)) * 0.886226925452758014 * ::exp(x * x);
    x -= error / (1 + x * error);
  }
  return __builtin_copysign(x, y);
}

template <class T> TG_INLINE Vec<T> erfc(Vec<T> x) {
  return map_lanes(x, [](T a) { return static_cast<T>(::erfc(static_cast<double>(a))); });
}
template <class T> TG_INLINE Vec<T> erfinv(Vec<T> x) {
  return map_lanes(x, [](T a) { return static_cast<T>(erfinv_of(static_cast<double>(a))); });
}
template <class T> TG_INLINE Vec<T> lgamma(Vec<T> x) {
  return map_lanes(x, [](T a) { return static_cast<T>(lgamma_of(static_cast<double>(a))); });
}
template <class T> TG_INLINE Vec<T> digamma(Vec<T> x) {
  return map_lanes(x, [](T a) { return static_cast<T>(digamma_of(static_cast<double>(a))); });
}

// --- the same for float, in vectors ------------------------------------------------------------------------------------------
template <class F> TG_INLINE Vec<float> through_double(Vec<float> x, const F& f) {
  return narrow(f(widen_low(x)), f(widen_high(x)));
}

// e^(-x^2) Q(u) with u = (|x| - 3) / (|x| + 3), 2 minus that for negative x, in double: x^2 is exact there. 1 ulp.
TG_INLINE Vec<float> erfc(Vec<float> x) {
  return through_double(x, [](Vec<double> a) TG_INLINE_LAMBDA {
    const Vec<double> two(2.0), three(3.0), size = min_or_second(Vec<double>(10.2), abs(a)), z = size * size;
    const Vec<double> q =
        polynomial((size - three) / (size + three), 0.1790011512807481, -0.3262335638295728, 0.2456037958434689,
                   -0.1501157825472504, 0.07166589224629859, -0.02439420633635326, 0.00426873507016449, 0.0007155382138542602,
                   -0.0005943935513547322, 2.928373520082995e-05, 5.608976753427276e-05);
    // e^-z = 2^n e^r to 1e-9: more than a float holds
    const Vec<double> n = nearest_integer(z * Vec<double>(-Format<double>::log2_e_high));
    const Vec<double> r = fma(n, Vec<double>(-0.69314718055994530942), -z);
    const Vec<double> e = polynomial(r, 1.0, 1.0, 0.5, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320);
    const Vec<double> tail = e * power_of_two(n) * q;
    return select(a < Vec<double>(0.0), two - tail, tail);
  });
}

// With w = -log(1 - y^2): y P(w - 2.5) up to w = 5, then y Q(sqrt(w) - 3). 3 ulp.
TG_INLINE Vec<float> erfinv(Vec<float> y) {
  const Vec<float> one(1.0f), infinity(Format<float>::infinity), a = abs(y), w = -log((one - a) * (one + a));
  const Vec<float> p = polynomial(w - Vec<float>(2.5f), 1.50140941f, 0.246640727f, -0.00417770771f, -0.00125370757f,
                                  0.000218602188f, -4.39678115e-06f, -3.52885945e-06f, 3.43727066e-07f, 2.85347888e-08f);
  const Vec<float> q = polynomial(sqrt(w) - Vec<float>(3.0f), 2.83297706f, 1.00167453f, 0.00943290163f, -0.00763049489f,
                                  0.00577878114f, -0.00364115555f, 0.0012643286f, 6.77148782e-05f, -0.000139842814f);
  const Vec<float> x = y * select(w < Vec<float>(5.0f), p, q);
  return select(a < one, x, select(a == one, copysign(infinity, y), Vec<float>(__builtin_nanf(""))));
}

// Stirling's series at x + 8 less log(x (x + 1) ... (x + 7)); below 0.5 by reflection, log(pi / |sin pi x|) - lgamma(1 - x).
TG_INLINE Vec<double> log_gamma_of_positive(Vec<double> x) {
  const Vec<double> eight(8.0), zero(0.0), one(1.0);
  Vec<double> product = one;
  for (int k = 0; k < 8; ++k) product = product * (x + Vec<double>(double(k)));
  const Mask<double> small = x < eight;
  const Vec<double> y = select(small, x + eight, x), r = one / y, z = r * r;
  const Vec<double> series = r * polynomial(z, 1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360360);
  const Vec<double> stirling = (y - Vec<double>(0.5)) * log(y) - y + Vec<double>(0.91893853320467274178) + series;
  return stirling - select(small, log(select(small, product, one)), zero);
}
TG_INLINE Vec<float> lgamma(Vec<float> x) {  // 2 ulp for x > 0
  const Vec<float> infinity(Format<float>::infinity), zero(0.0f);
  const Vec<float> y = through_double(x, [](Vec<double> a) TG_INLINE_LAMBDA {
    const Vec<double> half(0.5), one(1.0), pi(3.14159265358979323846);
    const Mask<double> reflected = a < half;
    const Vec<double> value = log_gamma_of_positive(select(reflected, one - a, a));
    const Vec<double> nearest = round(a), angle = sin((a - nearest) * pi);  // up to the sign sin(pi a)
    return select(reflected, log(pi / abs(angle)) - value, value);
  });
  const Mask<float> pole = (x <= zero) & (floor(x) == x);
  const Mask<float> root = (x == Vec<float>(1.0f)) | (x == Vec<float>(2.0f));  // where rounding would leave 1e-15
  return select(is_nan(x), x, select(pole | (abs(x) == infinity), infinity, select(root, zero, y)));
}

// sqrt(a^2 + b^2) without overflow. 1.5 ulp, 1.5 ulp.
template <class T> TG_INLINE Vec<T> hypot(Vec<T> a, Vec<T> b) {
  const Vec<T> zero(T(0)), infinity(Format<T>::infinity), x = abs(a), y = abs(b);
  const Vec<T> large = max_or_second(x, y), small = min_or_second(x, y);
  // Outside [1 / far, far] the squares leave the range; there both are moved by 2^90 (2^600), which is more than far.
  const Vec<T> far(is_float<T> ? T(0x1p60) : T(0x1p500)), near(is_float<T> ? T(0x1p-60) : T(0x1p-500)), one(T(1));
  const Vec<T> up(is_float<T> ? T(0x1p90) : T(0x1p600)), down(is_float<T> ? T(0x1p-90) : T(0x1p-600));
  const Vec<T> factor = select(large > far, down, select(large < near, up, one));
  const Vec<T> back = select(large > far, up, select(large < near, down, one));
  const Vec<T> l = large * factor, s = small * factor;
  const Vec<T> y2 = sqrt(fma(l, l, s * s)) * back;
  return select((x == infinity) | (y == infinity), infinity,
                select(is_nan(a) | is_nan(b), a + b, select(large == zero, zero, y2)));
}

// erfc(-b / sqrt 2) for -13 <= b <= 0: 2^(b q(b)), where q is a fit up to b = -6 and falls fast enough below to reach 0 before
// -13. 10 ulp for b > -2, 3e-6 relative for b > -5; at -6, where the value is 2e-9, 6e-6.
TG_INLINE Vec<float> normal_tails(Vec<float> b) {
  const Vec<float> q = polynomial(b, 1.15111121f, -0.459160898f, 0.052614478f, 0.0071876661f, 0.000185633782f, -0.000194836074f,
                                  -5.29747337e-05f, -7.10689836e-06f, -5.12484309e-07f, -1.57847004e-08f);
  const Vec<float> n = nearest_integer(b * q), r = fma(b, q, -n);
  return scale(polynomial(r, 1.000000072f, 0.6931469658f, 0.2402211762f, 0.05550714482f, 0.009675655514f, 0.001327635793f), n);
}

// x Phi(x), Phi being the normal distribution function. For float max(x, 0) - |x| normal_tails / 2: accurate to 10 ulp for
// x > -2, to 3e-6 of the result for x > -5; 0 from -13 down, NaN for -infinity. For double x times normal_cdf.
TG_INLINE Vec<float> gelu(Vec<float> x) {
  const Vec<float> b = max_or_second(Vec<float>(-13.0f), -abs(x));
  const Vec<float> positive = x - min_or_second(Vec<float>(0.0f), x);  // NaN for -infinity, as -infinity times 0 is
  return fma(Vec<float>(0.5f) * b, normal_tails(b), positive);
}
TG_INLINE Vec<double> gelu(Vec<double> x) { return x * normal_cdf(x); }

}  // namespace tg::TG_ISA
