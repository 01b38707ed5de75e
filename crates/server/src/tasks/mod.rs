//! Work that nobody asks for: loops with a name, a period and a way to run at once.
//!
//! Takes functions, gives handles. A loop that fails says so and goes on; all end when the server stops.
//! Never: work that a request waits for.

pub mod retention;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::announce;
use crate::app::App;
use crate::clock::UnixMillis;
use crate::commits;
use crate::error::chain;
use crate::operations::look_for_drift;
use crate::store::{outbox, pushes};

/// How often the database folds its log back into the main file.
const UPKEEP: Duration = Duration::from_secs(300);

/// How often work is looked for whose time may have come.
const LOOK: Duration = Duration::from_secs(5);

/// How long is known that a push was told of, in milliseconds: a host sends nothing again after that.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

/// How often schedules are looked at: they count in minutes.
const DRIFT: Duration = Duration::from_secs(15);

/// How often what is kept too long is removed, a batch at a time.
const RETENTION: Duration = Duration::from_secs(600);

/// A running loop.
#[derive(Debug)]
pub struct Loop {
    now: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Loop {
    /// Starts a loop that does `work` after every `period`, and whenever [`Loop::activate`] is called.
    pub fn start<W, F, E>(
        name: &'static str,
        period: Duration,
        stopping: CancellationToken,
        work: W,
    ) -> Self
    where
        W: Fn() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send,
        E: std::error::Error + Send,
    {
        let now = Arc::new(Notify::new());
        let wake = Arc::clone(&now);
        let task = tokio::spawn(async move {
            let mut clock = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = clock.tick() => {}
                    () = wake.notified() => {}
                    () = stopping.cancelled() => return,
                }
                if let Err(error) = work().await {
                    tracing::error!(task = name, error = chain(&error), "background work failed");
                }
            }
        });
        Self { now, task }
    }

    /// Does the work now; calls during a run of it make one more.
    pub fn activate(&self) {
        self.now.notify_one();
    }

    /// Does the work after every change of the database as well.
    fn wake_on_changes(&self, app: &App) {
        let (now, stopping) = (Arc::clone(&self.now), app.stopping.clone());
        let mut changes = app.store.changes();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = stopping.cancelled() => return,
                }
                now.notify_one();
            }
        });
    }

    /// Waits until the loop has ended, which it does when the server stops.
    pub async fn ended(self) {
        if self.task.await.is_err() {
            tracing::error!("a background loop panicked");
        }
    }
}

/// Starts the loops of this server.
pub fn start(app: &Arc<App>) -> Vec<Loop> {
    // Whoever waited for an approval when the server ended was not asked about since.
    let judge = app.judge.clone();
    tokio::spawn(async move { judge.settle_waiting().await });
    let shared = Arc::clone(app);
    let upkeep = Loop::start("database upkeep", UPKEEP, app.stopping.clone(), move || {
        let app = Arc::clone(&shared);
        async move {
            app.limits.forget();
            app.store.upkeep().await
        }
    });
    let control = Arc::clone(&app.control);
    let spent = Loop::start(
        "upkeep of ended runs",
        UPKEEP,
        app.stopping.clone(),
        move || {
            let control = Arc::clone(&control);
            async move { control.upkeep().await }
        },
    );
    let shared = Arc::clone(app);
    let pushes = Loop::start("pushes", LOOK, app.stopping.clone(), move || {
        commits::follow(Arc::clone(&shared))
    });
    pushes.wake_on_changes(app);
    let shared = Arc::clone(app);
    let polls = Loop::start(
        "asking repositories",
        LOOK,
        app.stopping.clone(),
        move || commits::poll(Arc::clone(&shared)),
    );
    let [news, messages] = announcements(app);
    vec![
        upkeep,
        spent,
        pushes,
        polls,
        news,
        messages,
        forgotten(app),
        drift(app),
        kept(app),
    ]
}

/// Tells others about runs.
fn announcements(app: &Arc<App>) -> [Loop; 2] {
    let shared = Arc::clone(app);
    let news = Loop::start("news of runs", LOOK, app.stopping.clone(), move || {
        announce::tell(Arc::clone(&shared))
    });
    let shared = Arc::clone(app);
    let stopping = app.stopping.clone();
    let messages = Loop::start("messages about runs", LOOK, stopping, move || {
        announce::deliver(Arc::clone(&shared))
    });
    news.wake_on_changes(app);
    messages.wake_on_changes(app);
    [news, messages]
}

/// Removes what is kept too long.
fn kept(app: &Arc<App>) -> Loop {
    let shared = Arc::clone(app);
    Loop::start("retention", RETENTION, app.stopping.clone(), move || {
        let app = Arc::clone(&shared);
        async move { retention::turn(&app, app.retention, UnixMillis::now()).await }
    })
}

/// Looks at stacks when their schedules say so.
fn drift(app: &Arc<App>) -> Loop {
    let shared = Arc::clone(app);
    Loop::start("drift detection", DRIFT, app.stopping.clone(), move || {
        let app = Arc::clone(&shared);
        async move { look_for_drift(&app, UnixMillis::now()).await }
    })
}

/// Forgets what is known of pushes and messages for long.
fn forgotten(app: &Arc<App>) -> Loop {
    let shared = Arc::clone(app);
    Loop::start(
        "upkeep of pushes and messages",
        UPKEEP,
        app.stopping.clone(),
        move || {
            let app = Arc::clone(&shared);
            async move {
                let before = UnixMillis::now().plus(-KEPT);
                let mut tx = app.store.begin().await?;
                pushes::forget(&mut tx, before).await?;
                outbox::forget(&mut tx, before).await?;
                app.store.commit(tx).await
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::watch;

    #[tokio::test(start_paused = true)]
    async fn a_loop_runs_by_the_clock_and_when_asked_and_survives_failures() {
        let stopping = CancellationToken::new();
        let (done, mut seen) = watch::channel(0);
        let count = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&count);
        let task = Loop::start(
            "test",
            Duration::from_secs(60),
            stopping.clone(),
            move || {
                let (counter, done) = (Arc::clone(&counter), done.clone());
                async move {
                    done.send_replace(counter.fetch_add(1, Ordering::SeqCst) + 1);
                    Err(std::io::Error::other("always"))
                }
            },
        );
        let start = tokio::time::Instant::now();
        seen.wait_for(|n| *n == 2).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 120);
        task.activate();
        seen.wait_for(|n| *n == 3).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 120);
        stopping.cancel();
        task.ended().await;
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }
}
