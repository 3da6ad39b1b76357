//! One run of a method on phi from one start.

use crate::evaluate::Workers;
use crate::problem::Attitude;
use crate::set::Set;
use crate::solve::Options;
use crate::upper::hyper::{
    BundleSettings, Curvature, DescentSettings, Ending, GradientSamplingSettings, IzomSettings, Oracle,
    QuasiNewtonSettings, Sample, bundle, descent, gradient_sampling, izom, leave_kink, quasi_newton,
};

/// The methods on phi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// (L-)BFGS; at kinks of phi_p the bundle method goes on.
    QuasiNewton,
    /// Proximal bundle.
    Bundle,
    /// Gradient steps with backtracking.
    Descent,
    /// Gradient sampling.
    GradientSampling,
    /// Zeroth order, practical form.
    Izom,
    /// Zeroth order, as printed.
    LiteralIzom,
}

/// The methods by name.
pub const NAMES: [(&str, Method); 6] = [
    ("quasi-newton", Method::QuasiNewton),
    ("bundle", Method::Bundle),
    ("descent", Method::Descent),
    ("gradient-sampling", Method::GradientSampling),
    ("izom", Method::Izom),
    ("izom-literal", Method::LiteralIzom),
];

impl Method {
    /// Whether it takes all evaluations for one run, from one start.
    pub fn is_one_run(self) -> bool {
        matches!(self, Self::Izom | Self::LiteralIzom)
    }

    /// The method of a run: the user's, else the bundle for phi_p (weakly convex) and quasi-Newton for phi_o, whose minimisers
    /// are smooth points.
    ///
    /// # Errors
    /// A message where the name is no method on phi.
    pub fn choose(options: &Options) -> Result<Self, String> {
        match options.method.as_deref() {
            None if options.attitude == Attitude::Pessimistic => Ok(Method::Bundle),
            None => Ok(Method::QuasiNewton),
            Some(name) => NAMES.iter().find(|(known, _)| *known == name).map(|(_, method)| *method).ok_or_else(|| {
                let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                format!("`{name}` does not handle this attitude or tolerance; methods that do: {}", names.join(", "))
            }),
        }
    }
}

/// Relative distance of the points that look for kinks.
const NEAR: f64 = 1e-4;
/// Times that a run goes on after a kink.
const LEAVES: usize = 3;

/// Runs a method, and again from a lower point next to its end if there is one.
pub fn run(
    method: Method,
    oracle: &mut Oracle<'_>,
    set: &Set,
    start: &[f64],
    (tolerance, options): (f64, &Options),
    curvature: &mut Curvature,
) -> Ending {
    let mut x = start.to_vec();
    let mut ending = Ending::Budget;
    for _ in 0..=LEAVES {
        ending = once(method, oracle, set, &x, (tolerance, options), curvature);
        let Some(best) = oracle.best().cloned() else { return ending };
        // A run that converged rarely ends at a concave kink; one that did not move may have begun at one.
        let moved = best.x != x;
        let exploring = tolerance > options.tolerance;
        if moved || exploring || !matches!(ending, Ending::Stationary | Ending::Stalled) {
            return ending;
        }
        let pairs = x.len().min(24) + 1;
        match lower_point(oracle, set, &best, tolerance, (pairs, options.seed)) {
            Ok(Some(next)) => x = next.x,
            Ok(None) => return ending,
            Err(stop) => return stop,
        }
    }
    ending
}

fn lower_point(
    oracle: &mut Oracle<'_>,
    set: &Set,
    best: &Sample,
    tolerance: f64,
    (pairs, seed): (usize, u64),
) -> Result<Option<Sample>, Ending> {
    let radius = NEAR * (1.0 + best.x.iter().map(|v| v * v).sum::<f64>().sqrt());
    leave_kink(oracle, set, best, (radius, 2.0 * tolerance.max(1e-3)), (pairs, seed))
}

fn once(
    method: Method,
    oracle: &mut Oracle<'_>,
    set: &Set,
    x: &[f64],
    (tolerance, options): (f64, &Options),
    curvature: &mut Curvature,
) -> Ending {
    let pessimistic = options.attitude == Attitude::Pessimistic;
    match method {
        Method::QuasiNewton => {
            let settings = QuasiNewtonSettings { tolerance, stop_at_kinks: pessimistic };
            let ending = quasi_newton(oracle, set, x, &settings, curvature);
            match oracle.best() {
                Some(best) if ending == Ending::Kink || (pessimistic && ending == Ending::Stalled) => {
                    let x = best.x.clone();
                    bundle(oracle, set, &x, &BundleSettings { tolerance, modulus: None })
                }
                _ => ending,
            }
        }
        Method::Bundle => bundle(oracle, set, x, &BundleSettings { tolerance, modulus: None }),
        Method::Descent => descent(oracle, set, x, &DescentSettings { tolerance }),
        Method::GradientSampling => {
            let seed = options.seed;
            let settings = GradientSamplingSettings { tolerance, radius: 0.1, last_radius: 1e-6, seed };
            gradient_sampling(oracle, set, x, &settings)
        }
        Method::Izom | Method::LiteralIzom => zeroth_order(oracle, set, x, method == Method::LiteralIzom, options),
    }
}

/// IZOM with the evaluations that are left. The literal form's answer is its random iterate, at the accuracy that Theorem 2
/// asks for; the practical one's is the best point seen.
fn zeroth_order(oracle: &mut Oracle<'_>, set: &Set, x: &[f64], literal: bool, options: &Options) -> Ending {
    let iterations = (oracle.left().saturating_sub(1) / 2).clamp(1, 10_000);
    let settings = IzomSettings::new(literal, iterations, options.seed);
    if literal {
        oracle.ask(settings.accuracy(x.len()));
    }
    let trace = izom(oracle, set, x, &settings, &Workers::new(1), &mut |_| ());
    if trace.ending != Ending::Budget {
        return trace.ending;
    }
    // The iterations are over: nothing is known of these points but their values.
    match oracle.evaluate(if literal { &trace.random } else { &trace.last }) {
        Ok(sample) if literal && sample.value.is_finite() => oracle.settle(sample),
        Ok(_) | Err(Ending::Budget) => {}
        Err(ending) => return ending,
    }
    Ending::Budget
}
