//! Promises of the scheduler, each checked step by step without a clock.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn settings() -> SchedulerSettings {
    SchedulerSettings {
        num_gpu_blocks: 100,
        block_size: 4,
        max_num_seqs: 8,
        max_num_batched_tokens: 64,
        prefix_caching: true,
        chunked_prefill: true,
        watermark: 0.01,
        charges_prefill: true,
    }
}

fn prompt(seed: u32, tokens: usize) -> Vec<u32> {
    (0..tokens as u32).map(|i| seed * 1_000_000 + i).collect()
}

/// Runs until idle; tokens by request. Panics when there is no progress.
fn run(scheduler: &mut Scheduler) -> HashMap<RequestId, usize> {
    let mut tokens = HashMap::new();
    let mut quiet = 0;
    while !scheduler.is_idle() {
        let step = scheduler.step();
        quiet = if step.emissions.is_empty() { quiet + 1 } else { 0 };
        assert!(quiet < 1000, "no progress with {} requests", scheduler.requests());
        for emission in step.emissions {
            *tokens.entry(emission.request).or_insert(0) += 1;
        }
    }
    tokens
}

#[test]
fn prefill_is_charged_before_the_first_token_and_decode_with_it() {
    let mut scheduler = Scheduler::new(settings());
    scheduler.submit(1, &prompt(1, 10), 2).unwrap();
    let step = scheduler.step();
    assert!(step.emissions.is_empty());
    assert!((step.delay_ms - timing::prefill_ms(10)).abs() < 1e-9);
    let step = scheduler.step();
    assert_eq!(step.emissions, [Emission { request: 1, last: false }]);
    assert!((step.delay_ms - timing::decode_ms(3 * 4)).abs() < 1e-9);
    let step = scheduler.step();
    assert_eq!(step.emissions, [Emission { request: 1, last: true }]);
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.active_blocks(), 0);
}

#[test]
fn a_long_prompt_is_prefilled_in_pieces() {
    let mut scheduler = Scheduler::new(settings());
    scheduler.submit(1, &prompt(1, 100), 1).unwrap();
    let first = scheduler.step();
    assert!((first.delay_ms - timing::prefill_ms(64)).abs() < 1e-9);
    assert_eq!(scheduler.active_blocks(), 25, "all blocks are taken with the first piece");
    assert!(scheduler.step().emissions.is_empty());
    let second = scheduler.step();
    assert!((second.delay_ms - timing::prefill_ms(36)).abs() < 1e-9);
    assert_eq!(scheduler.step().emissions.len(), 1);
}

#[test]
fn a_known_prefix_costs_nothing() {
    let mut scheduler = Scheduler::new(settings());
    scheduler.submit(1, &prompt(1, 40), 1).unwrap();
    run(&mut scheduler);
    scheduler.submit(2, &prompt(1, 40), 1).unwrap();
    assert!((scheduler.step().delay_ms - timing::prefill_ms(0)).abs() < 1e-9);
}

#[test]
fn decode_workers_charge_no_prefill() {
    let mut scheduler = Scheduler::new(SchedulerSettings { charges_prefill: false, ..settings() });
    scheduler.submit(1, &prompt(1, 40), 1).unwrap();
    assert!(scheduler.step().delay_ms.abs() < 1e-9);
    assert_eq!(scheduler.step().emissions.len(), 1);
}

#[test]
fn requests_that_can_never_run_are_refused_at_arrival() {
    let mut scheduler = Scheduler::new(settings());
    let error = scheduler.submit(1, &prompt(1, 396), 1).unwrap_err();
    assert_eq!(error, Refusal::Cache { tokens: 396, limit: 395 });
    let mut scheduler = Scheduler::new(SchedulerSettings { chunked_prefill: false, ..settings() });
    assert!(matches!(scheduler.submit(1, &prompt(1, 65), 1), Err(Refusal::Batch { .. })));
    assert!(scheduler.is_idle());
}

#[test]
fn an_answer_longer_than_the_cache_ends_with_the_cache() {
    let mut scheduler = Scheduler::new(settings());
    scheduler.submit(1, &prompt(1, 10), 1_000_000).unwrap();
    assert_eq!(run(&mut scheduler)[&1], 99 * 4 - 10);
}

#[test]
fn no_more_requests_run_than_allowed_and_the_order_is_that_of_arrival() {
    let mut scheduler = Scheduler::new(SchedulerSettings { max_num_seqs: 2, ..settings() });
    for id in 1..=3 {
        scheduler.submit(id, &prompt(id as u32, 5), 2).unwrap();
    }
    scheduler.step();
    let ids: Vec<_> = scheduler.step().emissions.iter().map(|e| e.request).collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn a_cancelled_request_frees_its_blocks_at_once() {
    let mut scheduler = Scheduler::new(settings());
    scheduler.submit(1, &prompt(1, 20), 100).unwrap();
    scheduler.submit(2, &prompt(2, 20), 100).unwrap();
    scheduler.step();
    scheduler.step();
    assert_eq!(scheduler.active_blocks(), 12);
    scheduler.cancel(1);
    assert_eq!(scheduler.active_blocks(), 6);
    scheduler.cancel(2);
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.active_blocks(), 0);
}

#[test]
fn when_the_cache_is_full_the_oldest_makes_room_and_still_finishes() {
    let mut scheduler = Scheduler::new(SchedulerSettings { num_gpu_blocks: 11, ..settings() });
    scheduler.submit(1, &prompt(1, 16), 20).unwrap();
    scheduler.submit(2, &prompt(2, 16), 20).unwrap();
    let tokens = run(&mut scheduler);
    assert_eq!((tokens[&1], tokens[&2]), (20, 20));
    assert_eq!(scheduler.active_blocks(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn every_accepted_request_gets_all_its_tokens_and_leaves_nothing_behind(
        blocks in 3_usize..40,
        block_size in 2_usize..6,
        max_num_seqs in 1_usize..6,
        max_num_batched_tokens in 1_usize..40,
        prefix_caching in any::<bool>(),
        chunked_prefill in any::<bool>(),
        requests in proptest::collection::vec((0_u32..3, 0_usize..60, 1_usize..30, any::<bool>()), 1..20),
    ) {
        let settings = SchedulerSettings {
            num_gpu_blocks: blocks, block_size, max_num_seqs, max_num_batched_tokens, prefix_caching,
            chunked_prefill, ..settings()
        };
        let limit = settings.usable_blocks() * block_size;
        let mut scheduler = Scheduler::new(settings);
        let mut expected = HashMap::new();
        for (id, (seed, tokens, max_tokens, cancelled)) in requests.into_iter().enumerate() {
            let id = id as RequestId;
            if scheduler.submit(id, &prompt(seed, tokens), max_tokens).is_err() {
                continue;
            }
            scheduler.step();
            prop_assert!(scheduler.cache.held() <= blocks);
            if cancelled {
                scheduler.cancel(id);
            } else {
                expected.insert(id, max_tokens.min(limit - tokens));
            }
        }
        let rest = run(&mut scheduler);
        for (id, tokens) in &rest {
            prop_assert!(tokens <= &expected[id]);
        }
        prop_assert_eq!(scheduler.active_blocks(), 0);
        prop_assert!(scheduler.cache.held() <= blocks);
    }
}
