//! Runs a scheduler in real time: takes requests, sleeps for the time each step costs.
//! It must not know the request plane; answers leave through channels.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::scheduler::{Refusal, RequestId, Scheduler, SchedulerSettings, Step};

/// What a request's owner hears.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// One token; `last` ends the answer.
    Token {
        last: bool,
    },
    Refused(Refusal),
}

#[derive(Debug)]
enum Command {
    Submit { id: RequestId, prompt: Vec<u32>, max_tokens: usize, events: mpsc::UnboundedSender<Event> },
    Cancel { id: RequestId },
}

/// One rank of the imitated engine; dropping it ends its answers.
#[derive(Debug)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    next_id: std::sync::atomic::AtomicU64,
    _task: AbortOnDropHandle<()>,
}

/// An answer in progress; dropping it cancels the request and frees its blocks.
#[derive(Debug)]
pub struct Answer {
    id: RequestId,
    events: mpsc::UnboundedReceiver<Event>,
    commands: mpsc::UnboundedSender<Command>,
    ended: bool,
}

impl Engine {
    /// Starts the engine; delays are divided by `speedup`, 0 means none.
    pub fn start(settings: SchedulerSettings, speedup: f64) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let rank = Rank { scheduler: Scheduler::new(settings), owners: HashMap::new(), received, speedup };
        let task = AbortOnDropHandle::new(tokio::spawn(rank.run()));
        Self { commands, next_id: 0.into(), _task: task }
    }

    pub fn submit(&self, prompt: Vec<u32>, max_tokens: usize) -> Answer {
        let id = self.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        // A closed channel means the engine has ended; the answer then ends without a last token.
        drop(self.commands.send(Command::Submit { id, prompt, max_tokens, events: sender }));
        Answer { id, events, commands: self.commands.clone(), ended: false }
    }
}

impl Answer {
    /// The next event; `None` when the engine has ended.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await;
        self.ended = !matches!(event, Some(Event::Token { last: false }));
        event
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.ended {
            drop(self.commands.send(Command::Cancel { id: self.id }));
        }
    }
}

struct Rank {
    scheduler: Scheduler,
    owners: HashMap<RequestId, mpsc::UnboundedSender<Event>>,
    received: mpsc::UnboundedReceiver<Command>,
    speedup: f64,
}

impl Rank {
    async fn run(mut self) {
        loop {
            if self.scheduler.is_idle() {
                match self.received.recv().await {
                    Some(command) => self.take(command),
                    None => return,
                }
            }
            while let Ok(command) = self.received.try_recv() {
                self.take(command);
            }
            let step = self.scheduler.step();
            self.send(&step);
            if self.speedup > 0.0 && step.delay_ms > 0.0 {
                self.pause(Duration::from_secs_f64(step.delay_ms / 1000.0 / self.speedup)).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Cancel { id } => {
                self.owners.remove(&id);
                self.scheduler.cancel(id);
            }
            Command::Submit { id, prompt, max_tokens, events } => {
                match self.scheduler.submit(id, &prompt, max_tokens) {
                    Ok(()) => {
                        self.owners.insert(id, events);
                    }
                    // The owner may be gone already.
                    Err(refusal) => drop(events.send(Event::Refused(refusal))),
                }
            }
        }
    }

    fn send(&mut self, step: &Step) {
        for emission in &step.emissions {
            let event = Event::Token { last: emission.last };
            let owner = self.owners.get(&emission.request);
            let heard = owner.is_some_and(|owner| owner.send(event).is_ok());
            if emission.last || !heard {
                self.owners.remove(&emission.request);
                self.scheduler.cancel(emission.request);
            }
        }
    }

    /// Sleeps, but takes commands meanwhile, so that a cancelled request frees its blocks at once.
    async fn pause(&mut self, time: Duration) {
        let sleep = tokio::time::sleep(time);
        let mut sleep = std::pin::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return,
                command = self.received.recv() => match command {
                    Some(command) => self.take(command),
                    None => return sleep.await,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SchedulerSettings {
        SchedulerSettings {
            num_gpu_blocks: 64,
            block_size: 4,
            max_num_seqs: 8,
            max_num_batched_tokens: 64,
            prefix_caching: true,
            chunked_prefill: true,
            watermark: 0.01,
            charges_prefill: true,
        }
    }

    #[tokio::test]
    async fn answers_have_as_many_tokens_as_asked_for() {
        let engine = Engine::start(settings(), 0.0);
        let mut answers: Vec<Answer> = (0..20).map(|i| engine.submit(vec![i; 10], 7)).collect();
        for answer in &mut answers {
            for _ in 0..6 {
                assert_eq!(answer.next().await, Some(Event::Token { last: false }));
            }
            assert_eq!(answer.next().await, Some(Event::Token { last: true }));
        }
    }

    #[tokio::test]
    async fn an_oversized_prompt_is_refused_and_others_go_on() {
        let engine = Engine::start(settings(), 0.0);
        let mut large = engine.submit(vec![1; 1000], 7);
        let mut small = engine.submit(vec![1; 10], 1);
        assert!(matches!(large.next().await, Some(Event::Refused(_))));
        assert_eq!(small.next().await, Some(Event::Token { last: true }));
    }

    #[tokio::test]
    async fn a_dropped_answer_makes_room_for_the_next() {
        let engine = Engine::start(SchedulerSettings { max_num_seqs: 1, ..settings() }, 0.0);
        let mut long = engine.submit(vec![1; 8], 200);
        assert_eq!(long.next().await, Some(Event::Token { last: false }));
        drop(long);
        let mut next = engine.submit(vec![2; 8], 1);
        assert_eq!(next.next().await, Some(Event::Token { last: true }));
    }
}
