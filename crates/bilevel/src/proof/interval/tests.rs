use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn iv(lo: f64, hi: f64) -> Interval {
    Interval::new(lo, hi)
}

/// A number of any kind: small integers, moderate, of any exponent, subnormal, extreme.
fn any_number(rng: &mut ChaCha8Rng) -> f64 {
    match rng.random_range(0..8) {
        0 => f64::from(rng.random_range(-9..10)),
        1 | 2 => rng.random_range(-10.0..10.0),
        3 => f64::from_bits(rng.random::<u64>() & !(0x7ff << 52) | (rng.random_range(1u64..2046) << 52)),
        4 => f64::from_bits(rng.random::<u64>() & !(0x7ff << 52)),
        5 => [0.0, f64::MAX, -f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), 1.0][rng.random_range(0..6)],
        6 => rng.random_range(-1.0..1.0) * 1e-160,
        _ => rng.random_range(-1.0..1.0) * 1e155,
    }
}

fn any_interval(rng: &mut ChaCha8Rng) -> Interval {
    let (a, b) = (any_number(rng), any_number(rng));
    match rng.random_range(0..10) {
        0 | 1 => Interval::point(a),
        2 => Interval::at_least(a),
        3 => Interval::at_most(a),
        _ => iv(a.min(b), a.max(b)),
    }
}

/// A finite member: an end or something between.
fn member(z: Interval, rng: &mut ChaCha8Rng) -> f64 {
    let (lo, hi) = (z.lo().max(-f64::MAX), z.hi().min(f64::MAX));
    match rng.random_range(0..3) {
        0 => lo,
        1 => hi,
        _ => {
            let t: f64 = rng.random();
            (lo * (1.0 - t) + hi * t).clamp(lo, hi)
        }
    }
}

#[test]
fn the_four_operations_contain_the_exact_results() {
    use super::reference::{exact_product_between, exact_quotient_between, exact_sum_between};
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..250_000 {
        let (a, b) = (any_interval(&mut rng), any_interval(&mut rng));
        let (u, v) = (member(a, &mut rng), member(b, &mut rng));
        let sum = a + b;
        assert!(exact_sum_between(u, v, sum.lo(), sum.hi()), "{u:e} + {v:e} in {sum:?}");
        let difference = a - b;
        assert!(exact_sum_between(u, -v, difference.lo(), difference.hi()), "{u:e} - {v:e} in {difference:?}");
        let product = a * b;
        assert!(exact_product_between(u, v, product.lo(), product.hi()), "{u:e} * {v:e} in {product:?}");
        if v != 0.0 {
            let quotient = a / b;
            assert!(exact_quotient_between(u, v, quotient.lo(), quotient.hi()), "{u:e} / {v:e} in {quotient:?}");
        }
        let root = a.sqrt();
        if u >= 0.0 {
            // root.lo² <= u <= root.hi², exactly.
            assert!(exact_product_between(root.lo(), root.lo(), f64::NEG_INFINITY, u), "sqrt {u:e} in {root:?}");
            assert!(root.hi().is_infinite() || exact_product_between(root.hi(), root.hi(), u, f64::INFINITY));
        }
        let square = a.square();
        assert!(exact_product_between(u, u, square.lo(), square.hi()), "{u:e} squared in {square:?}");
    }
}

#[test]
fn small_integers_stay_points() {
    for a in -20..=20_i32 {
        for b in -20..=20 {
            let (x, y) = (Interval::point(f64::from(a)), Interval::point(f64::from(b)));
            assert_eq!(x + y, Interval::point(f64::from(a + b)));
            assert_eq!(x - y, Interval::point(f64::from(a - b)));
            assert_eq!(x * y, Interval::point(f64::from(a * b)));
            assert_eq!((x * x).sqrt(), Interval::point(f64::from(a.abs())));
            assert_eq!(x.powi(3), Interval::point(f64::from(a * a * a)));
            if b != 0 {
                assert_eq!((x * y) / y, x);
            }
        }
    }
}

#[test]
fn rounding_moves_at_most_one_unit() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..20_000 {
        let (x, y): (f64, f64) = (rng.random_range(-10.0..10.0), rng.random_range(0.5..10.0));
        let (a, b) = (Interval::point(x), Interval::point(y));
        for z in [a + b, a - b, a * b, a / b, b.sqrt()] {
            assert!(z.lo() == z.hi() || z.lo().next_up() == z.hi(), "{z:?}");
        }
    }
}

#[test]
fn division_by_intervals_around_zero() {
    assert_eq!(iv(1.0, 2.0) / iv(0.0, 4.0), iv(0.25, f64::INFINITY));
    assert_eq!(iv(-2.0, -1.0) / iv(0.0, 4.0), iv(f64::NEG_INFINITY, -0.25));
    assert_eq!(iv(1.0, 2.0) / iv(-4.0, 0.0), iv(f64::NEG_INFINITY, -0.25));
    assert_eq!(iv(1.0, 2.0) / iv(-1.0, 4.0), Interval::ENTIRE);
    assert!((iv(1.0, 2.0) / Interval::ZERO).is_empty());
    assert_eq!(iv(1.0, 2.0).divide_within(iv(-1.0, 4.0), iv(-0.5, 8.0)), iv(0.25, 8.0));
    assert!(iv(1.0, 2.0).divide_within(iv(-1.0, 1.0), iv(-0.5, 0.5)).is_empty());
    assert_eq!(iv(-1.0, 2.0).divide_within(iv(-1.0, 1.0), iv(-0.5, 0.5)), iv(-0.5, 0.5));
}

#[test]
fn domains() {
    assert!(iv(-2.0, -1.0).log().is_empty());
    assert!(iv(-2.0, -1.0).sqrt().is_empty());
    assert_eq!(iv(-2.0, 4.0).sqrt(), iv(0.0, 2.0));
    assert_eq!(iv(-1.0, 1.0).log(), iv(f64::NEG_INFINITY, 0.0));
    assert!(iv(1.5, 1.6).has_tangent_pole() && !iv(-1.5, 1.5).has_tangent_pole());
    assert!(iv(-2.0, -1.0).pow(Interval::point(0.5)).is_empty());
    assert!(Interval::EMPTY.exp().is_empty() && (Interval::EMPTY + Interval::ONE).is_empty());
    assert_eq!(iv(-1.0, 800.0).exp().hi(), f64::INFINITY);
    assert_eq!(iv(-1.0, 0.0).exp().hi(), 1.0);
}

fn function(name: &str, z: Interval) -> Interval {
    match name {
        "exp" => z.exp(),
        "log" => z.log(),
        "log1p" => z.log1p(),
        "expm1" => z.expm1(),
        "sqrt" => z.sqrt(),
        "sin" => z.sin(),
        "cos" => z.cos(),
        "tan" => z.tan(),
        "tanh" => z.tanh(),
        "sigmoid" => z.sigmoid(),
        "softplus" => z.softplus(),
        "square" => z.square(),
        "cube" => z.powi(3),
        "inverse_cube" => z.powi(-3),
        "pow0.3" => z.pow(Interval::point(0.3)),
        "pow-1.7" => z.pow(Interval::point(-1.7)),
        "pow2.5" => z.pow(Interval::point(2.5)),
        _ => panic!("no function {name}"),
    }
}

/// True values, computed with 400 bits by tools/make_interval_table.py.
fn table() -> Vec<(&'static str, f64, f64, f64)> {
    let bits = |text: &str| f64::from_bits(u64::from_str_radix(text, 16).unwrap());
    include_str!("table.txt")
        .lines()
        .map(|line| {
            let parts: Vec<_> = line.split(' ').collect();
            let down = bits(parts[2]);
            let up = if parts[3] == "1" { down } else { down.next_up() };
            (parts[0], bits(parts[1]), down, up)
        })
        .collect()
}

#[test]
fn functions_of_points_contain_the_true_value_and_are_tight() {
    for (name, x, down, up) in table() {
        let z = function(name, Interval::point(x));
        assert!(z.lo() <= down && up <= z.hi(), "{name}({x:e}) = {down:e}..{up:e} is not in {z:?}");
        let near_pole = name == "tan" && up.abs() > 1e9;
        if up.abs() > 1e-290 && up.abs() < 1e300 && !near_pole {
            assert!(z.width() <= 40.0 * f64::EPSILON * up.abs(), "{name}({x:e}) is wide: {z:?}");
        }
    }
}

#[test]
fn functions_of_intervals_contain_the_true_value_at_every_member() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (name, x, down, up) in table() {
        for _ in 0..60 {
            let mut reach = || match rng.random_range(0..5) {
                0 => 0.0,
                1 => x.abs() * rng.random_range(0.0..1e-10),
                2 => f64::INFINITY,
                _ => 10f64.powf(rng.random_range(-3.0..2.0)),
            };
            let z = iv(x - reach(), x + reach());
            let image = function(name, z);
            assert!(image.lo() <= down && up <= image.hi(), "{name}({z:?}) = {image:?} misses {down:e} at {x:e}");
        }
    }
}

#[test]
fn waves_take_their_extremes_only_where_they_have_them() {
    let quarter = std::f64::consts::FRAC_PI_2;
    assert!(iv(0.1, 1.5).sin().hi() < 1.0 && iv(0.1, 1.6).sin().hi() == 1.0);
    assert!(iv(-1.5, 0.0).sin().lo() > -1.0 && iv(-1.6, 0.0).sin().lo() == -1.0);
    assert!(iv(0.1, 3.0).cos().lo() > -1.0 && iv(0.1, 3.2).cos().lo() == -1.0);
    assert_eq!(iv(-0.1, 0.1).cos().hi(), 1.0);
    assert_eq!(iv(5.0 * quarter - 0.1, 5.0 * quarter + 0.1).sin().hi(), 1.0);
    assert_eq!(iv(0.0, 1e300).sin(), iv(-1.0, 1.0));
    assert_eq!(Interval::ENTIRE.cos(), iv(-1.0, 1.0));
}

#[test]
fn powers_with_interval_exponents_contain_their_corners_and_middle() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..20_000 {
        let (a, b) = (rng.random_range(0.0..3.0), rng.random_range(0.0..3.0));
        let (p, q) = (rng.random_range(-3.0..3.0), rng.random_range(-3.0..3.0));
        let image = iv(f64::min(a, b), f64::max(a, b)).pow(iv(f64::min(p, q), f64::max(p, q)));
        let t: f64 = rng.random();
        let value = (a * t + b * (1.0 - t)).powf(p * t + q * (1.0 - t));
        let slack = 1e-14 * value.abs();
        assert!(image.lo() <= value + slack && value - slack <= image.hi(), "{value} in {image:?}");
    }
}

#[test]
fn middles_are_members() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for _ in 0..10_000 {
        let z = any_interval(&mut rng);
        assert!(z.mid().is_finite() && z.contains(z.mid()), "{z:?} {}", z.mid());
    }
}
