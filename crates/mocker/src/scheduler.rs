//! The imitated engine's scheduler as a state machine: admit, prefill, decode (runtime.md 9.3).
//! It must not look at a clock or sleep: each step says how long it would have taken.

use std::collections::VecDeque;

use crate::cache::Cache;
use crate::sequence::Sequence;
use crate::timing;

/// What the scheduler must know about the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerSettings {
    pub num_gpu_blocks: usize,
    pub block_size: usize,
    pub max_num_seqs: usize,
    pub max_num_batched_tokens: usize,
    pub prefix_caching: bool,
    pub chunked_prefill: bool,
    /// Part of the blocks kept free at admission, 0..1.
    pub watermark: f64,
    /// Decode workers charge no time for prefill.
    pub charges_prefill: bool,
}

impl SchedulerSettings {
    /// Blocks that admission may fill.
    fn usable_blocks(&self) -> usize {
        ((1.0 - self.watermark) * self.num_gpu_blocks as f64).floor().max(0.0) as usize
    }
}

/// Names a request within one scheduler.
pub type RequestId = u64;

/// Why a request can never run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the prompt has {tokens} tokens, more than the {limit} that fit the cache of this worker (blocks x \
         block size, less the watermark)"
    )]
    Cache { tokens: usize, limit: usize },
    #[error(
        "the prompt has {tokens} tokens, more than max_num_batched_tokens ({limit}); enable chunked prefill \
         or raise it"
    )]
    Batch { tokens: usize, limit: usize },
}

/// What a step produced for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    pub request: RequestId,
    /// The answer ends after this token.
    pub last: bool,
}

/// Result of one step.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// Tokens to send before the delay, in the order of admission.
    pub emissions: Vec<Emission>,
    /// Milliseconds the step would take at speed 1.
    pub delay_ms: f64,
}

#[derive(Debug)]
struct Running {
    id: RequestId,
    sequence: Sequence,
    /// Tokens still to be generated.
    remaining: usize,
    /// Tokens still to be prefilled; none before the first chunk.
    unprefilled: Option<usize>,
}

/// One rank's queues and cache.
#[derive(Debug)]
pub struct Scheduler {
    settings: SchedulerSettings,
    cache: Cache,
    waiting: VecDeque<Running>,
    prefilling: VecDeque<Running>,
    /// Oldest first.
    decoding: VecDeque<Running>,
    active_tokens: usize,
    decode_next: bool,
}

impl Scheduler {
    pub fn new(settings: SchedulerSettings) -> Self {
        Self {
            cache: Cache::new(settings.num_gpu_blocks),
            settings,
            waiting: VecDeque::new(),
            prefilling: VecDeque::new(),
            decoding: VecDeque::new(),
            active_tokens: 0,
            decode_next: false,
        }
    }

    /// Queues a request. One that could never be admitted is refused at once; an answer longer than
    /// the cache ends where the cache ends.
    pub fn submit(&mut self, id: RequestId, prompt: &[u32], max_tokens: usize) -> Result<(), Refusal> {
        let tokens = prompt.len();
        let limit = self.settings.usable_blocks() * self.settings.block_size;
        if tokens >= limit {
            return Err(Refusal::Cache { tokens, limit: limit.saturating_sub(1) });
        }
        let batch = self.settings.max_num_batched_tokens;
        if !self.settings.chunked_prefill && tokens > batch {
            return Err(Refusal::Batch { tokens, limit: batch });
        }
        let sequence = Sequence::new(prompt, self.settings.block_size, self.settings.prefix_caching);
        let remaining = max_tokens.clamp(1, limit - tokens);
        self.waiting.push_back(Running { id, sequence, remaining, unprefilled: None });
        Ok(())
    }

    /// Forgets a request and frees its blocks; unknown ids are ignored.
    pub fn cancel(&mut self, id: RequestId) {
        for queue in [&mut self.waiting, &mut self.prefilling, &mut self.decoding] {
            if let Some(position) = queue.iter().position(|request| request.id == id)
                && let Some(mut request) = queue.remove(position)
            {
                request.sequence.give_back(&mut self.cache);
            }
        }
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.prefilling.is_empty() && self.decoding.is_empty()
    }

    /// Blocks in use.
    pub fn active_blocks(&self) -> usize {
        self.cache.active()
    }

    /// Requests that are not finished.
    pub fn requests(&self) -> usize {
        self.waiting.len() + self.prefilling.len() + self.decoding.len()
    }

    /// The next piece of work: admission with prefill, then decode, in turn.
    pub fn step(&mut self) -> Step {
        self.decode_next = !self.decode_next;
        if !self.decode_next {
            return self.decode();
        }
        self.admit();
        match self.prefill() {
            Some(delay_ms) => Step { emissions: Vec::new(), delay_ms },
            None => {
                self.decode_next = false;
                self.decode()
            }
        }
    }

    /// First in, first out; stops at the first request that does not fit.
    fn admit(&mut self) {
        let usable = self.settings.usable_blocks();
        loop {
            let Some(next) = self.waiting.front() else { return };
            let fresh = self.prefilling.iter().filter(|request| request.unprefilled.is_none());
            let promised: usize = fresh.map(|request| request.sequence.blocks()).sum();
            let blocks = self.cache.active() + promised + next.sequence.blocks();
            let queued: usize = self
                .prefilling
                .iter()
                .map(|r| r.unprefilled.unwrap_or_else(|| r.sequence.new_tokens(&self.cache)))
                .sum();
            let own = if self.settings.chunked_prefill { 0 } else { next.sequence.new_tokens(&self.cache) };
            let tokens = self.active_tokens + queued + own;
            let running = self.prefilling.len() + self.decoding.len() + 1;
            // A preempted request can have grown beyond one batch; alone it is prefilled in pieces.
            let alone = running == 1;
            if blocks > usable
                || (tokens > self.settings.max_num_batched_tokens && !alone)
                || running > self.settings.max_num_seqs
            {
                return;
            }
            self.prefilling.extend(self.waiting.pop_front());
        }
    }

    /// Prefills what was admitted as far as the batch has room; the time it takes, `None` when
    /// nothing was done.
    fn prefill(&mut self) -> Option<f64> {
        let mut delay = None;
        while let Some(mut request) = self.prefilling.pop_front() {
            let left = match request.unprefilled {
                Some(left) => left,
                None => {
                    let left = request.sequence.new_tokens(&self.cache);
                    if !request.sequence.take_blocks(&mut self.cache) {
                        self.waiting.push_front(request);
                        break;
                    }
                    left
                }
            };
            let room = self.settings.max_num_batched_tokens.saturating_sub(self.active_tokens);
            let chunk = left.min(room);
            self.active_tokens += chunk;
            if chunk > 0 || left == 0 {
                let charge = if self.settings.charges_prefill { timing::prefill_ms(chunk) } else { 0.0 };
                delay = Some(delay.unwrap_or(0.0) + charge);
            }
            if chunk < left {
                request.unprefilled = Some(left - chunk);
                self.prefilling.push_front(request);
                break;
            }
            request.unprefilled = Some(0);
            self.decoding.push_back(request);
        }
        delay
    }

    /// One token for every decoding request, oldest first.
    fn decode(&mut self) -> Step {
        let held_tokens = self.cache.active() * self.settings.block_size;
        let mut step = Step::default();
        if !self.decoding.is_empty() {
            step.delay_ms = timing::decode_ms(held_tokens);
        }
        let mut position = 0;
        while let Some(request) = self.decoding.get_mut(position) {
            if !request.sequence.grow(rand::random(), &mut self.cache) {
                // The oldest makes room: it is at the front, so the others move up by one.
                self.preempt_oldest();
                position = position.saturating_sub(1);
                continue;
            }
            request.remaining -= 1;
            let last = request.remaining == 0;
            step.emissions.push(Emission { request: request.id, last });
            position += 1;
        }
        self.decoding.retain_mut(|request| {
            let goes_on = request.remaining > 0;
            if !goes_on {
                request.sequence.give_back(&mut self.cache);
            }
            goes_on
        });
        self.active_tokens = self.decoding.len();
        step
    }

    fn preempt_oldest(&mut self) {
        if let Some(mut oldest) = self.decoding.pop_front() {
            oldest.sequence.give_back(&mut self.cache);
            if oldest.remaining > 0 {
                oldest.unprefilled = None;
                self.waiting.push_front(oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
