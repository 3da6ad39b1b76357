//! Small problems with known answers, solved through the public face.

use bilevel::prelude::*;

fn solve(build: impl FnOnce(&mut Model) -> Result<Problem, ModelError>) -> Solution {
    let mut model = Model::new();
    build(&mut model).unwrap().solve(&Options::default())
}

#[test]
fn quad1_reaches_two_and_not_less() {
    let solution = solve(|model| {
        let x = model.leader("x", 1).within(Bounds::new(-1.0, f64::INFINITY)?)?;
        let y = model.follower("y", 1).free()?;
        model.upper((&x - 1.0).norm2sq() + (&y + 1.0).norm2sq()).lower((&y - &x).norm2sq());
        model.start(&[0.5], &[0.5]).build()
    });
    println!("{solution:?}");
    assert_eq!(solution.status, Status::Solved);
    assert!((solution.upper.unwrap() - 2.0).abs() < 1e-6);
}
