//! The section of `check` on hyper-objectives: whether the theory of Chen, Li & So (2025) covers the problem, its
//! constants, and what was sampled.

use bilevel::certificate::{Constant, Constants, ErrorBound, ObservedModulus, SetSmoothness, Shape, Source, Theory};

use super::table::small;

/// Label and text of each line.
pub fn lines(theory: &Theory) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    if theory.applies() {
        let text = "Thm. 1 of Chen, Li & So (2025): nothing speaks against its assumptions; those that structure does \
                    not show are only sampled";
        out.push(("phi", text.to_string()));
    }
    for (k, reason) in theory.reasons.iter().enumerate() {
        let before = if k == 0 { "theory of hyper-objectives does not apply: " } else { "" };
        out.push((if k == 0 { "phi" } else { "" }, format!("{before}{reason}")));
    }
    out.push(("region", format!("x within {} of {}, for all that is sampled", theory.settings.radius, point(theory))));
    if let Some(text) = shape(theory.shape) {
        out.push(("S(x)", text));
    }
    if let Some(constants) = &theory.constants {
        out.extend(constant_lines(constants));
    }
    out.extend(theory.error_bound.as_ref().map(|bound| ("error bound", error_bound(bound))));
    out.extend(theory.set_smoothness.as_ref().map(|found| ("set smooth", set_smooth(found))));
    for (label, observed, what) in [("phi_o", &theory.optimistic, "concave"), ("phi_p", &theory.pessimistic, "convex")]
    {
        out.extend(observed.as_ref().map(|o| (label, modulus(o, what, theory.constants.as_ref()))));
    }
    out
}

fn point(theory: &Theory) -> String {
    let shown: Vec<String> = theory.settings.x.iter().take(4).map(|v| format!("{v:.3}")).collect();
    let rest = if theory.settings.x.len() > 4 { ", …" } else { "" };
    format!("[{}{rest}]", shown.join(", "))
}

fn shape((shape, source): (Shape, Source)) -> Option<String> {
    let text = match shape {
        Shape::Point => "one answer".to_string(),
        Shape::Affine { dimension, parallel } => {
            let size = dimension.map_or(String::new(), |d| format!(" of dimension {d}"));
            let turns = if parallel { "parallel for all x" } else { "turning with x" };
            format!("an affine subspace{size}, {turns}")
        }
        Shape::Several => "several answers, no affine subspace".to_string(),
        Shape::Unknown => return None,
    };
    Some(format!("{text} ({})", source.name()))
}

fn constant_lines(c: &Constants) -> Vec<(&'static str, String)> {
    let one =
        |name: &str, constant: Constant| format!("{name} = {} ({})", number(constant.value), constant.source.name());
    let base = [("L_f", c.l_f), ("H_f", c.h_f), ("tau", c.tau), ("M_F", c.m_upper), ("L_F", c.l_upper)];
    let derived = [("M_S", c.m_s), ("M_phi", c.m_phi), ("L_S", c.l_s), ("rho", c.rho)];
    let join = |all: &[(&str, Constant)]| all.iter().map(|(name, v)| one(name, *v)).collect::<Vec<_>>().join(", ");
    vec![
        ("constants", join(&base)),
        ("", join(&derived)),
        ("", "sampled constants are estimated, not certified".into()),
    ]
}

fn error_bound(bound: &ErrorBound) -> String {
    let rows: Vec<String> = bound.scales.iter().map(|(d, tau)| format!("{} at {}", number(*tau), small(*d))).collect();
    let verdict = if bound.alarm { "ALARM: grows near S(x)" } else { "bounded near S(x)" };
    format!("dist(y, S(x)) / |grad_y f| up to {} at distances: {verdict} (sampled)", rows.join(", "))
}

fn set_smooth(found: &SetSmoothness) -> String {
    let rows: Vec<String> = found
        .scales
        .iter()
        .map(|row| format!("{} at {}", number(row.midpoint.max(row.distance)), small(row.scale)))
        .collect();
    let verdict = if found.alarm { "ALARM: grows without bound" } else { "bounded" };
    let failed = if found.failures > 0 { format!(", {} projections failed", found.failures) } else { String::new() };
    format!("L up to {} for |x1 - x2|: {verdict} (sampled{failed})", rows.join(", "))
}

fn modulus(observed: &ObservedModulus, what: &str, constants: Option<&Constants>) -> String {
    let beside = constants.map_or(String::new(), |c| format!(" (rho above: {})", number(c.rho.value)));
    let verdict = if observed.alarm { ", ALARM: grows as points come together" } else { "" };
    format!(
        "observed: weakly {what} with {}{beside}, Lipschitz with {}{verdict}; lower estimates",
        number(observed.rho),
        number(observed.lipschitz)
    )
}

fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_string()
    } else if (1e-2..1e4).contains(&value.abs()) {
        format!("{value:.3}")
    } else {
        format!("{value:.2e}")
    }
}
