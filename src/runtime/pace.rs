//! How fast something may be done: so many each second, and so many at once.
//!
//! Counts on the timer of the tasks, so that it holds on driven time too. Must not queue: whoever waits asks again.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep};

/// The time since this began.
#[derive(Clone, Debug)]
struct TaskClock(Instant);

impl Clock for TaskClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A rate that is kept.
#[derive(Debug)]
pub struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, TaskClock, NoOpMiddleware<Duration>>,
    clock: TaskClock,
}

impl Pace {
    /// So many each second, and so many at once.
    pub fn new((per_second, burst): (NonZeroU32, NonZeroU32)) -> Self {
        let clock = TaskClock(Instant::now());
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
        }
    }

    /// Takes a turn, or says how long there is none.
    ///
    /// # Errors
    /// The time until the next turn.
    pub fn take(&self) -> Result<(), Duration> {
        let taken = self.limiter.check();
        taken.map_err(|busy| busy.wait_time_from(self.clock.now()))
    }

    /// Waits for a turn.
    pub async fn turn(&self) {
        while let Err(wait) = self.take() {
            sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_rate_and_what_may_come_at_once() {
        let number = |it| NonZeroU32::new(it).unwrap();
        let pace = Pace::new((number(5), number(3)));
        let mut turns = Vec::new();
        for _ in 0..100 {
            pace.turn().await;
            turns.push(Instant::now());
        }
        for (at, first) in turns.iter().enumerate() {
            let within = turns[at..]
                .iter()
                .take_while(|turn| turn.duration_since(*first) < Duration::from_secs(1));
            assert!(within.count() <= 5 + 3);
        }
        let took = turns.last().unwrap().duration_since(turns[0]);
        assert!(took <= Duration::from_secs(20), "{took:?}");
    }
}
