//! What the person sees: steps with their times, commands with what they print, and what is waited for. Colours and a line
//! that changes only on a terminal.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stdout};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use daymark_tests::{Result, wait_for};
use tokio::time::{MissedTickBehavior, interval};

/// What is shown while the lab starts; short, because the lab's own word comes over it.
pub const LAB_START: &str = "starting";

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// The longest line that changes in place: it must not wrap.
const LIVE_WIDTH: usize = 76;
const LIVE_TICK: Duration = Duration::from_millis(100);
/// Without a terminal a long wait says so now and then.
const PLAIN_TICK: Duration = Duration::from_secs(10);

/// The output.
pub struct Stage {
    terminal: bool,
    steps: usize,
    current: usize,
    title: String,
    begin: SystemTime,
    begin_steady: Instant,
    step_begin: Instant,
}

impl Stage {
    /// For so many steps, on standard output.
    pub fn new(steps: usize) -> Self {
        let terminal = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let now = Instant::now();
        Self {
            terminal,
            steps,
            current: 0,
            title: String::new(),
            begin: SystemTime::now(),
            begin_steady: now,
            step_begin: now,
        }
    }

    /// When it all began.
    pub fn begin(&self) -> SystemTime {
        self.begin
    }

    /// Lines as they are.
    pub fn say(&self, text: &str) {
        line(text.trim_end());
    }

    /// The next step begins.
    pub fn step(&mut self, title: &str) {
        self.current += 1;
        title.clone_into(&mut self.title);
        self.step_begin = Instant::now();
        line(&format!("\n{}", self.paint(BOLD, &format!("[{}/{}] {title}", self.current, self.steps))));
    }

    /// Something of the step is done, after the time since its beginning.
    pub fn done(&self, what: &str) {
        self.done_after(self.step_begin.elapsed(), what);
    }

    /// Something is done that took so long.
    pub fn done_after(&self, took: Duration, what: &str) {
        line(&format!(
            "  {} {}  {what}",
            self.paint(GREEN, "ok"),
            self.paint(DIM, &format!("{:>6}", seconds(took)))
        ));
    }

    /// Something beside the point.
    pub fn note(&self, text: &str) {
        line(&format!("             {}", self.paint(DIM, text)));
    }

    /// What one would type, and at most `most` lines of what it says.
    pub fn typed(&self, command: &str, output: &str, most: usize) {
        line(&format!("  {}", self.paint(CYAN, &format!("$ {command}"))));
        let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        for text in lines.iter().take(most) {
            line(&format!("    {}", text.trim_end()));
        }
        if lines.len() > most {
            line(&format!("    {}", self.paint(DIM, &format!("(and {} more lines)", lines.len() - most))));
        }
    }

    /// The objects that are applied.
    pub fn yaml(&self, text: &str) {
        self.typed("kubectl apply -f -", "", 0);
        for text in text.trim().lines() {
            line(&format!("    {}", self.paint(DIM, text)));
        }
    }

    /// Waits for `probe`, and shows what it sees meanwhile.
    pub async fn wait<T>(
        &self,
        what: impl Display,
        deadline: Duration,
        mut probe: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let what = what.to_string();
        let seen = RefCell::new(String::new());
        let waiting = wait_for(&what, deadline, async || {
            probe().await.inspect_err(|error| *seen.borrow_mut() = format!("{error:#}"))
        });
        self.live(|| format!("{what}: {}", seen.borrow()), waiting).await
    }

    /// Does `work`, and shows meanwhile what `text` says.
    pub async fn live<T>(&self, text: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let mut work = pin!(work);
        let mut tick = interval(if self.terminal { LIVE_TICK } else { PLAIN_TICK });
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.tick().await;
        loop {
            tokio::select! {
                result = &mut work => {
                    self.clear();
                    return result;
                }
                _ = tick.tick() => self.draw(begin.elapsed(), &text()),
            }
        }
    }

    /// The end of it all.
    pub fn end(&self, how: &str) {
        let text = format!("Done after {}; {how}.", seconds(self.begin_steady.elapsed()));
        line(&format!("\n{}", self.paint(BOLD, &text)));
    }

    /// A step did not come to its end.
    pub fn failed(&self, error: &str) {
        self.clear();
        let (current, title) = (self.current, &self.title);
        if current == 0 {
            return eprintln!("demo: {error}");
        }
        let text = format!(
            "demo: step {current} ({title}) failed after {}: {error}",
            seconds(self.step_begin.elapsed())
        );
        eprintln!("\n{}", if std::io::stderr().is_terminal() { self.paint(RED, &text) } else { text });
    }

    /// The cursor stays at the line's beginning, so that whatever comes next stands over it.
    fn draw(&self, after: Duration, text: &str) {
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !self.terminal {
            return line(&format!("  … {:>6}  {text}", seconds(after)));
        }
        let text: String = format!("  … {:>6}  {text}", seconds(after)).chars().take(LIVE_WIDTH).collect();
        write(&format!("\x1b[K{}\r", self.paint(DIM, &text)));
    }

    fn clear(&self) {
        if self.terminal {
            write("\x1b[K");
        }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.terminal { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A time for people.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn line(text: &str) {
    write(&format!("{text}\n"));
}

/// A pipe that somebody closed ends the show, not with a panic.
fn write(text: &str) {
    let mut out = stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        eprint!("{text}");
    }
}
