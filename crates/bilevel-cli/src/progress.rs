//! Progress on standard error, the history file, and Ctrl-C.

use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bilevel::observe::{Observer, Stage};
use serde_json::json;

/// Prints a line per stage, says on a terminal that work goes on where there is no stage for a second, and asks the run to
/// end at Ctrl-C.
pub struct Progress {
    visible: bool,
    stopped: Arc<AtomicBool>,
    sinks: Arc<Mutex<Sinks>>,
}

struct Sinks {
    header_shown: bool,
    history: Option<BufWriter<File>>,
    begun: Instant,
    last: Instant,
    /// Whether the line at the cursor only says that work goes on.
    waiting: bool,
    finished: bool,
}

/// How often the clock is looked at, and how long nothing has to happen before it is shown.
const TICK: Duration = Duration::from_millis(250);
const QUIET: Duration = Duration::from_secs(1);

impl Sinks {
    /// Takes the line away that only says that work goes on.
    fn clear(&mut self) {
        if std::mem::take(&mut self.waiting) {
            eprint!("\r\x1b[K");
        }
    }
}

/// Shows the time on a terminal while nothing else is shown.
fn show_time(sinks: &Mutex<Sinks>, stopped: &AtomicBool) {
    loop {
        std::thread::sleep(TICK);
        let mut sinks = sinks.lock().unwrap_or_else(PoisonError::into_inner);
        if sinks.finished {
            return;
        }
        if sinks.last.elapsed() >= QUIET {
            let doing = if stopped.load(Ordering::SeqCst) { "ending" } else { "working" };
            eprint!("\r\x1b[K{doing}, {} s", sinks.begun.elapsed().as_secs());
            sinks.waiting = true;
        }
    }
}

impl Progress {
    /// Listens for Ctrl-C from now on.
    ///
    /// # Errors
    /// A history file that cannot be written.
    pub fn new(visible: bool, history: Option<&Path>) -> anyhow::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        // A second Ctrl-C ends the program at once. Without a handler Ctrl-C still works, only less gently.
        let _ = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
        let open = |path: &Path| {
            File::create(path).map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
        };
        let (history, now) = (history.map(open).transpose()?, Instant::now());
        let sinks = Sinks { header_shown: false, history, begun: now, last: now, waiting: false, finished: false };
        let sinks = Arc::new(Mutex::new(sinks));
        if visible && std::io::stderr().is_terminal() {
            let (sinks, stopped) = (Arc::clone(&sinks), Arc::clone(&stopped));
            std::thread::spawn(move || show_time(&sinks, &stopped));
        }
        Ok(Self { visible, stopped, sinks })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.finished = true;
        sinks.clear();
    }
}

impl Observer for Progress {
    fn stage(&self, stage: &Stage) {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.visible {
            sinks.clear();
            sinks.last = Instant::now();
            if !sinks.header_shown {
                eprintln!("start  stage  step              mu             F         gap    residual  lower solves");
                sinks.header_shown = true;
            }
            eprintln!(
                "{:5}  {:5}  {:11}  {:>8}  {:>12}  {:>10}  {:>10}  {:12}",
                stage.start,
                stage.iteration,
                stage.step,
                short(stage.mu),
                number(stage.upper),
                short(stage.gap),
                short(stage.residual),
                stage.lower_solves
            );
        }
        if let Some(history) = &mut sinks.history {
            let line = json!({
                "start": stage.start, "iteration": stage.iteration, "step": stage.step, "mu": stage.mu,
                "upper": stage.upper, "gap": stage.gap, "residual": stage.residual,
                "lower_solves": stage.lower_solves,
            });
            // A full disk must not end a run that is otherwise fine.
            let _ = writeln!(history, "{line}").and_then(|()| history.flush());
        }
    }

    fn interrupted(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn flag(&self) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(&self.stopped))
    }
}

fn short(value: f64) -> String {
    if value.is_finite() { format!("{value:.1e}") } else { "-".to_string() }
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.6}") } else { "-".to_string() }
}
